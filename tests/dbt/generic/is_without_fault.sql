{% test is_without_fault(model, column_name, at) %}

    select
        {{ at | join(', ') }},
        {{ column_name }} as offending_value
    from {{ model }}
    where {{ column_name }} is not null

{% endtest %}
