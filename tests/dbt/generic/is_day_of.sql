{% test is_day_of(model, column_name, time, key) %}

    select
        *,
        {{ key }} as row_key,
        {{ column_name }} as offending_value
    from {{ model }}
    where {{ column_name }} <> cast({{ time }} as date)

{% endtest %}
