{% test is_key(model, columns, filled=[]) %}

    {%- set all_columns = columns + filled %}
    select
        {{ columns | join(', ') }},
        count(*) as offending_value
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1
        {%- for column in all_columns %}
        or count({{ column }}) < count(*)
        {%- endfor %}

{% endtest %}
