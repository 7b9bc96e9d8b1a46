{% test has_one_of(model, columns, key) %}

    select
        *,
        {{ key }} as row_key,
        '{{ columns | join(' ') }}' as offending_value
    from {{ model }}
    where coalesce({{ columns | join(', ') }}) is null

{% endtest %}
