{# Text: how each engine matches and replaces. #}

{# Whether a text matches a regular expression, somewhere. Only what all engines read alike: classes, counts, anchors. #}
{% macro matches(text, pattern) -%}
    {{ return(adapter.dispatch('matches', 'delivery')(text, pattern)) }}
{%- endmacro %}

{% macro duckdb__matches(text, pattern) -%}
    regexp_matches({{ text }}, '{{ pattern }}')
{%- endmacro %}

{% macro postgres__matches(text, pattern) -%}
    ({{ text }} ~ '{{ pattern }}')
{%- endmacro %}

{# Java's $ also stands before a last line end; \z does not. #}
{% macro spark__matches(text, pattern) -%}
    ({{ text }} rlike '{{ pattern[:-1] ~ '\\z' if pattern.endswith('$') else pattern }}')
{%- endmacro %}


{# A text without what matches a regular expression, everywhere. #}
{% macro without(text, pattern) -%}
    {{ return(adapter.dispatch('without', 'delivery')(text, pattern)) }}
{%- endmacro %}

{% macro default__without(text, pattern) -%}
    regexp_replace({{ text }}, '{{ pattern }}', '', 'g')
{%- endmacro %}

{% macro spark__without(text, pattern) -%}
    regexp_replace({{ text }}, '{{ pattern }}', '')
{%- endmacro %}
