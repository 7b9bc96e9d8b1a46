{# No two rows have the same values in all of the columns; NULL counts as a value. #}
{% test unique_together(model, columns) %}

    select
        {{ columns | join(', ') }},
        count(*) as offending_value
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1

{% endtest %}
