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


{#
    A number made of a text, for looking it up in a column of all history that is as narrow as can be. Two texts may have the
    same one, so whoever finds it compares what it stands for.
#}
{% macro short_hash(text) -%}
    {{ return(adapter.dispatch('short_hash', 'delivery')(text)) }}
{%- endmacro %}

{# Not hash(), which may be another function in another version of DuckDB. #}
{% macro duckdb__short_hash(text) -%}
    cast(md5_number_lower({{ text }}) >> 1 as bigint)
{%- endmacro %}

{% macro postgres__short_hash(text) -%}
    hashtextextended({{ text }}, 0)
{%- endmacro %}

{# Spark's is a number for NULL, too. #}
{% macro spark__short_hash(text) -%}
    case when {{ text }} is not null then xxhash64({{ text }}) end
{%- endmacro %}
