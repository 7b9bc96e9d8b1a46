{# Each landed file lies in a folder that is read; a loader's misspelled folder would otherwise be left out silently. #}
{% test in_a_known_folder(model, column_name) %}

    select {{ column_name }} as offending_value
    from {{ model }}
    where {{ column_name }} not like 'sendgrid/%'
        {%- for entity in platform_entities() %}
        and {{ column_name }} not like 'platform/{{ entity }}/%'
        {%- endfor %}

{% endtest %}
