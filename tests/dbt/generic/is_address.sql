{% test is_address(model, column_name, key) %}

    select
        *,
        {{ key }} as row_key,
        {{ column_name }} as offending_value
    from {{ model }}
    where {{ column_name }} not like '%_@_%'
        or {{ column_name }} like '% %'
        or {{ column_name }} <> lower({{ column_name }})

{% endtest %}
