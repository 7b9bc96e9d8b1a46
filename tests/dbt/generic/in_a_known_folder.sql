{% test in_a_known_folder(model, column_name) %}

    select {{ column_name }} as offending_value
    from {{ model }}
    where not {{ is_read(column_name) }}

{% endtest %}
