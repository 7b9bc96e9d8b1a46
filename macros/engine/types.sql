{# Casts of untidy text: NULL instead of an error. PostgreSQL has no try_cast, Spark needs its own for times. #}

{#
    A time as text: YYYY-MM-DD, alone or with hours and minutes, seconds, a fraction of them, and Z or a distance from UTC.
    All else is none, whatever more an engine would read; digits after the sixth of a fraction are cut off.
#}
{% macro time_pattern() -%}
    {{ return(
        '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]+)?)?(Z|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)?)?$'
    ) }}
{%- endmacro %}

{% macro is_time(text) -%}
    {{ matches(text, time_pattern()) }} and {{ text }} >= '0001'
{%- endmacro %}


{# A time of the years 1 to 9999, which every engine, file and reader has: its distance from UTC may lead out of them. #}
{% macro within_years(time) -%}
    {{ return(adapter.dispatch('within_years', 'delivery')(time)) }}
{%- endmacro %}

{% macro default__within_years(time) -%}
    case
        when {{ time }} between timestamp '0001-01-01 00:00:00' and timestamp '9999-12-31 23:59:59.999999' then {{ time }}
    end
{%- endmacro %}

{# It works out anew what is named again: all beyond the years is as the first moment beyond, and that is none. #}
{% macro postgres__within_years(time) -%}
    nullif(
        nullif(
            greatest(least({{ time }}, timestamp '10000-01-01 00:00:00'), timestamp '0001-12-31 23:59:59.999999 BC'),
            timestamp '10000-01-01 00:00:00'
        ),
        timestamp '0001-12-31 23:59:59.999999 BC'
    )
{%- endmacro %}


{% macro try_timestamp(text) -%}
    {{ return(adapter.dispatch('try_timestamp', 'delivery')(text)) }}
{%- endmacro %}

{# By way of a time with zone: a plain cast would drop "+02:00" instead of reckoning with it. #}
{% macro duckdb__try_timestamp(text) -%}
    case when {{ is_time(text) }} then {{ within_years('cast(try_cast(' ~ text ~ ' as timestamptz) as timestamp)') }} end
{%- endmacro %}

{# Every part is checked before the cast: before version 16, PostgreSQL cannot ask whether a cast would succeed. #}
{% macro postgres__try_timestamp(text) -%}
    case
        when {{ is_time(text) }}
            then case
                when {{ postgres__is_date('left(' ~ text ~ ', 10)') }}
                    then {{ within_years(
                        "cast(regexp_replace(" ~ text ~ ", '([.]\\d{6})\\d+', '\\1') || case when length(" ~ text
                        ~ ") = 10 then ' 00:00:00Z' when " ~ text ~ " ~ '(Z|[+-]\\d\\d(:?\\d\\d)?)$' then '' else 'Z' end"
                        ~ " as timestamptz) at time zone 'UTC'"
                    ) }}
            end
    end
{%- endmacro %}

{# Whether text of the form YYYY-MM-DD is a day of the calendar; never stops. #}
{% macro postgres__is_date(text) -%}
    case
        when substr({{ text }}, 1, 4) >= '0001' and substr({{ text }}, 6, 2) between '01' and '12'
            then substr({{ text }}, 9, 2) between '01' and to_char(
                make_date(cast(substr({{ text }}, 1, 4) as int), cast(substr({{ text }}, 6, 2) as int), 1)
                + interval '1 month - 1 day',
                'DD'
            )
        else false
    end
{%- endmacro %}

{% macro default__try_timestamp(text) -%}
    case when {{ is_time(text) }} then {{ within_years(checked_cast(text, dbt.type_timestamp())) }} end
{%- endmacro %}

{# Told its format by itself; a plain cast would drop the distance from UTC. #}
{% macro snowflake__try_timestamp(text) -%}
    case
        when {{ is_time(text) }}
            then {{ within_years("cast(convert_timezone('UTC', try_to_timestamp_tz(" ~ text ~ ")) as timestamp_ntz)") }}
    end
{%- endmacro %}

{% macro spark__try_timestamp(text) -%}
    case when {{ is_time(text) }} then {{ within_years('cast(try_cast(' ~ text ~ ' as timestamp_ltz) as timestamp_ntz)') }} end
{%- endmacro %}


{# A whole number of at most eighteen digits; some programs write 7 as 7.0. #}
{% macro try_bigint(text) -%}
    {%- set number = trimmed(text) -%}
    case
        when {{ matches(number, '^-?[0-9]{1,18}([.]0+)?$') }}
            then {{ checked_cast(before_point(number), 'bigint') }}
    end
{%- endmacro %}


{# Seconds since 1970 as text, with or without a fraction or a power of ten, as a time. #}
{% macro try_epoch(text) -%}
    {%- set number = trimmed(text) -%}
    case
        when {{ matches(number, '^[0-9]{1,12}([.][0-9]{1,18})?([eE][+]?[0-9]{1,2})?$') }}
            then case
                when {{ checked_cast(number, 'double precision') }} between 0 and 253402300799
                    then {{ time_of(checked_cast(number, 'double precision')) }}
            end
    end
{%- endmacro %}


{# The time so many seconds, a double, after the beginning of 1970. #}
{% macro time_of(seconds) -%}
    {{ return(adapter.dispatch('time_of', 'delivery')(seconds)) }}
{%- endmacro %}

{% macro default__time_of(seconds) -%}
    cast({{ dbt.dateadd('microsecond', 'cast(round(' ~ seconds ~ ' * 1000000) as bigint)', "timestamp '1970-01-01 00:00:00'") }}
        as {{ dbt.type_timestamp() }})
{%- endmacro %}

{% macro duckdb__time_of(seconds) -%}
    make_timestamp(cast(round({{ seconds }} * 1000000) as bigint))
{%- endmacro %}

{% macro postgres__time_of(seconds) -%}
    timestamp 'epoch' + {{ seconds }} * interval '1 second'
{%- endmacro %}

{% macro spark__time_of(seconds) -%}
    cast(timestamp_micros(cast(round({{ seconds }} * 1000000) as bigint)) as timestamp_ntz)
{%- endmacro %}


{# Whole days from one date to another; dbt's own macro is far longer than what each engine needs for dates. #}
{% macro days_between(first, last) -%}
    {{ return(adapter.dispatch('days_between', 'delivery')(first, last)) }}
{%- endmacro %}

{% macro default__days_between(first, last) -%}
    {{ dbt.datediff(first, last, 'day') }}
{%- endmacro %}

{% macro duckdb__days_between(first, last) -%}
    date_diff('day', {{ first }}, {{ last }})
{%- endmacro %}

{% macro postgres__days_between(first, last) -%}
    ({{ last }} - {{ first }})
{%- endmacro %}

{% macro spark__days_between(first, last) -%}
    datediff({{ last }}, {{ first }})
{%- endmacro %}


{# A cast of text that a CASE has checked. DuckDB and Spark may cast before they look, and must not stop then. #}
{% macro checked_cast(text, data_type) -%}
    {{ return(adapter.dispatch('checked_cast', 'delivery')(text, data_type)) }}
{%- endmacro %}

{% macro default__checked_cast(text, data_type) -%}
    {{ dbt.safe_cast(text, data_type | replace('double precision', dbt.type_float())) }}
{%- endmacro %}

{% macro duckdb__checked_cast(text, data_type) -%}
    try_cast({{ text }} as {{ data_type }})
{%- endmacro %}

{% macro postgres__checked_cast(text, data_type) -%}
    cast({{ text }} as {{ data_type }})
{%- endmacro %}

{% macro spark__checked_cast(text, data_type) -%}
    try_cast({{ text }} as {{ data_type | replace('double precision', 'double') }})
{%- endmacro %}


{# A day as YYYY-MM-DD. #}
{% macro try_date(text) -%}
    {{ return(adapter.dispatch('try_date', 'delivery')(text)) }}
{%- endmacro %}

{% macro default__try_date(text) -%}
    case
        when {{ matches(text, '^[0-9]{4}-[0-9]{2}-[0-9]{2}$') }} and {{ text }} >= '0001'
            then {{ checked_cast(text, 'date') }}
    end
{%- endmacro %}

{% macro postgres__try_date(text) -%}
    case
        when {{ matches(text, '^[0-9]{4}-[0-9]{2}-[0-9]{2}$') }}
            then case when {{ postgres__is_date(text) }} then cast({{ text }} as date) end
    end
{%- endmacro %}


{# The whole quotient of two whole numbers that are not negative. #}
{% macro whole_quotient(dividend, divisor) -%}
    {{ return(adapter.dispatch('whole_quotient', 'delivery')(dividend, divisor)) }}
{%- endmacro %}

{% macro default__whole_quotient(dividend, divisor) -%}
    cast(floor(({{ dividend }}) / ({{ divisor }})) as bigint)
{%- endmacro %}

{% macro duckdb__whole_quotient(dividend, divisor) -%}
    (({{ dividend }}) // ({{ divisor }}))
{%- endmacro %}

{% macro postgres__whole_quotient(dividend, divisor) -%}
    (({{ dividend }}) / ({{ divisor }}))
{%- endmacro %}

{% macro spark__whole_quotient(dividend, divisor) -%}
    (({{ dividend }}) div ({{ divisor }}))
{%- endmacro %}
