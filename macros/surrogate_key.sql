{# One text key out of several columns; NULL and '' give different keys. The hash is md5, the same on every engine. #}

{% macro surrogate_key(columns) -%}
    {%- set parts = [] -%}
    {%- for column in columns -%}
        {%- do parts.append("coalesce(cast(" ~ column ~ " as " ~ dbt.type_string() ~ "), '(null)')") -%}
    {%- endfor -%}
    {{ dbt.hash('concat(' ~ parts | join(", '|', ") ~ ')') }}
{%- endmacro %}
