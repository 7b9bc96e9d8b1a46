{% test is_e164(model, column_name, key) %}

    select
        *,
        {{ key }} as row_key,
        {{ column_name }} as offending_value
    from {{ model }}
    where {{ column_name }} is not null and not {{ matches(column_name, '^[+][1-9][0-9]{6,14}$') }}

{% endtest %}
