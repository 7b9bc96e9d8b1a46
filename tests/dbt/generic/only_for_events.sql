{% test only_for_events(model, column_name, events, key) %}

    select
        *,
        {{ key }} as row_key,
        {{ column_name }} as offending_value
    from {{ model }}
    where {{ column_name }} is not null and event not in ({{ dbt_delivery.quoted(events) }})

{% endtest %}
