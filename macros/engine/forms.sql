{# What an engine has no form of stops there, and says what is missing: nothing general stands for it. #}

{% macro no_form(name) -%}
    {%- do exceptions.raise_compiler_error(
        'There is no form of the macro ' ~ name ~ ' for ' ~ target.type ~ '. Write ' ~ target.type ~ '__' ~ name
        ~ ' beside its others in macros/engine: docs/engines.md says how.'
    ) -%}
{%- endmacro %}
