{% test never_null(model, columns, key) %}

    select
        *,
        {{ key }} as row_key,
        {%- for column in columns %}
        case when {{ column }} is null then '{{ column }} ' else '' end
            {{- ' ||' if not loop.last }}
        {%- endfor %} as offending_value
    from {{ model }}
    where {% for column in columns %}{{ column }} is null{{ ' or ' if not loop.last }}{% endfor %}

{% endtest %}
