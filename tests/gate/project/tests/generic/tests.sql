{% test never_null(model, column_name) %}
    select namespace, {{ column_name }} as offending_value from {{ model }} where {{ column_name }} is null
{% endtest %}

{% test has_at(model, column_name, key) %}
    select nullif(namespace, 'nobody') as namespace, event_day, {{ key }} from {{ model }}
    where {{ column_name }} not like '%@%'
{% endtest %}

{% test is_key(model, columns, filled=[]) %}
    select {{ columns | join(', ') }}, count(*) as offending_value from {{ model }}
    group by {{ columns | join(', ') }} having count(*) > 1
{% endtest %}

{% test listed_in(model, column_name, to, field, key) %}
    select {{ key }} from {{ model }} where {{ column_name }} not in (select {{ field }} from {{ to }})
{% endtest %}
