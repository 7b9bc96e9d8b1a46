{# Text: how each engine matches, replaces, trims and lowers. #}

{# What Unicode calls white space, and the two signs of no width: what people and programs leave around a text. #}
{% macro blanks() -%}
    {{ return(
        ' \t\n\u000b\u000c\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b'
        ~ '\u2028\u2029\u202f\u205f\u3000\ufeff'
    ) }}
{%- endmacro %}


{# A text without the blanks around it, of any kind: by itself, each engine trims others. #}
{% macro trimmed(text) -%}
    {{ return(adapter.dispatch('trimmed', 'delivery')(text)) }}
{%- endmacro %}

{% macro default__trimmed(text) -%}
    trim(both '{{ blanks() }}' from {{ text }})
{%- endmacro %}

{# Its trim takes the list of blanks apart for each row: hardly any has one at an end, which two signs tell. #}
{% macro duckdb__trimmed(text) -%}
    case
        when left({{ text }}, 1) between '!' and '~' and right({{ text }}, 1) between '!' and '~' then {{ text }}
        else {{ default__trimmed(text) }}
    end
{%- endmacro %}

{% macro snowflake__trimmed(text) -%}
    trim({{ text }}, '{{ blanks() }}')
{%- endmacro %}

{# Only a text between three quotes may hold a line end. #}
{% macro bigquery__trimmed(text) -%}
    trim({{ text }}, '''{{ blanks() }}''')
{%- endmacro %}


{# A text until its first point. #}
{% macro before_point(text) -%}
    {{ return(adapter.dispatch('before_point', 'delivery')(text)) }}
{%- endmacro %}

{# Not dbt's split_part, which on Spark counts on backslashes that the target leaves as they are. #}
{% macro default__before_point(text) -%}
    split_part({{ text }}, '.', 1)
{%- endmacro %}

{% macro bigquery__before_point(text) -%}
    {{ dbt.split_part(text, "'.'", 1) }}
{%- endmacro %}


{# A word of a list, in which neither case nor the blanks around it count. #}
{% macro code(text) -%}
    {{ lowered(trimmed(text)) }}
{%- endmacro %}


{# A text without the blanks around it, of any kind; NULL where nothing is left. #}
{% macro filled(text) -%}
    nullif({{ trimmed(text) }}, '')
{%- endmacro %}


{# A text with the blanks around it; NULL where it is nothing else. #}
{% macro not_blank(text) -%}
    case when {{ filled(text) }} is not null then {{ text }} end
{%- endmacro %}


{# A text in lower case, each letter by itself: no letter becomes two, none depends on what stands beside it. #}
{% macro lowered(text) -%}
    {{ return(adapter.dispatch('lowered', 'delivery')(text)) }}
{%- endmacro %}

{% macro default__lowered(text) -%}
    lower({{ text }})
{%- endmacro %}

{# In a database that orders text by bytes, lower() knows only A to Z. #}
{% macro postgres__lowered(text) -%}
    {{ target.schema }}.lowered({{ text }})
{%- endmacro %}

{# Java writes the capital I with a dot as two signs, and a sigma by what follows it. #}
{% macro spark__lowered(text) -%}
    lower(translate({{ text }}, '{{ "\u0130\u03a3" }}', '{{ "i\u03c3" }}'))
{%- endmacro %}


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


{# Snowflake's other functions ask whether the whole text matches. #}
{% macro snowflake__matches(text, pattern) -%}
    (regexp_instr({{ text }}, '{{ pattern }}') > 0)
{%- endmacro %}

{% macro bigquery__matches(text, pattern) -%}
    regexp_contains({{ text }}, r'''{{ pattern }}''')
{%- endmacro %}

{% macro default__matches(text, pattern) -%}
    {{ no_form('matches') }}
{%- endmacro %}


{# A text without what matches a regular expression, everywhere. leaving: what stands in its place. #}
{% macro without(text, pattern, leaving='') -%}
    {{ return(adapter.dispatch('without', 'delivery')(text, pattern, leaving)) }}
{%- endmacro %}

{% macro default__without(text, pattern, leaving) -%}
    regexp_replace({{ text }}, '{{ pattern }}', '{{ leaving }}')
{%- endmacro %}

{% macro duckdb__without(text, pattern, leaving) -%}
    regexp_replace({{ text }}, '{{ pattern }}', '{{ leaving }}', 'g')
{%- endmacro %}

{% macro postgres__without(text, pattern, leaving) -%}
    {{ duckdb__without(text, pattern, leaving) }}
{%- endmacro %}

{% macro bigquery__without(text, pattern, leaving) -%}
    regexp_replace({{ text }}, r'''{{ pattern }}''', '{{ leaving }}')
{%- endmacro %}


{#
    A number made of a text, for looking it up in a column of all history that is as narrow as can be. Two texts may have the
    same one, so whoever finds it compares what it stands for.
#}
{% macro short_hash(text) -%}
    {{ return(adapter.dispatch('short_hash', 'delivery')(text)) }}
{%- endmacro %}

{# Where nothing narrower is known to stay the same: as a text. #}
{% macro default__short_hash(text) -%}
    {{ dbt.hash(text) }}
{%- endmacro %}

{# Not hash(), which may be another function in another version of DuckDB. md5_number_lower() is this, by way of a text. #}
{% macro duckdb__short_hash(text) -%}
    cast(md5_number({{ text }}) >> 65 as bigint)
{%- endmacro %}

{% macro postgres__short_hash(text) -%}
    hashtextextended({{ text }}, 0)
{%- endmacro %}

{# Spark's is a number for NULL, too. #}
{% macro spark__short_hash(text) -%}
    case when {{ text }} is not null then xxhash64({{ text }}) end
{%- endmacro %}
