{# JSON: each engine has its own functions. A document is parsed once, into something that fields are taken from. #}

{# A text column of JSON objects as something to take the fields from; NULL where the text is no JSON. #}
{% macro parse_json(column, fields) -%}
    {{ return(adapter.dispatch('parse_json', 'delivery')(column, fields)) }}
{%- endmacro %}

{# A text that a client put into a field need be no JSON: try, not an error. #}
{% macro duckdb__parse_json(column, fields) -%}
    try(json_transform(
        {{ column }},
        '{ {%- for field in fields %}"{{ field }}": "VARCHAR"{{ ', ' if not loop.last }}{% endfor -%} }'
    ))
{%- endmacro %}

{% macro postgres__parse_json(column, fields) -%}
    {{ target.schema }}.json_texts({{ column }}, cast(array[{{ quoted(fields) }}] as text[]))
{%- endmacro %}

{% macro spark__parse_json(column, fields) -%}
    from_json({{ column }}, '{% for field in fields %}`{{ field }}` string{{ ', ' if not loop.last }}{% endfor %}')
{%- endmacro %}


{# One field of a parsed document, as text: text as it is, numbers and truth in JSON's spelling, the rest as JSON. #}
{% macro json_field(document, field) -%}
    {{ return(adapter.dispatch('json_field', 'delivery')(document, field)) }}
{%- endmacro %}

{% macro duckdb__json_field(document, field) -%}
    {{ document }}."{{ field }}"
{%- endmacro %}

{% macro postgres__json_field(document, field) -%}
    {{ document }} ->> '{{ field }}'
{%- endmacro %}

{% macro spark__json_field(document, field) -%}
    {{ document }}.`{{ field }}`
{%- endmacro %}


{# Text that is one value or a JSON list of values: the values joined by a pipe. #}
{% macro piped(text) -%}
    {{ return("nullif(" ~ adapter.dispatch('piped', 'delivery')(text) ~ ", '')") }}
{%- endmacro %}

{% macro duckdb__piped(text) -%}
    case
        when {{ text }} like '[%' and json_valid({{ text }})
            then array_to_string(from_json({{ text }}, '["VARCHAR"]'), '|')
        else {{ text }}
    end
{%- endmacro %}

{% macro postgres__piped(text) -%}
    case
        when {{ text }} like '[%' and {{ postgres__is_json(text) }} then (
            select string_agg(element, '|' order by position)
            from json_array_elements_text(cast({{ text }} as json)) with ordinality as list (element, position)
        )
        else {{ text }}
    end
{%- endmacro %}

{% macro spark__piped(text) -%}
    case
        when {{ text }} like '[%' then coalesce(array_join(from_json({{ text }}, 'array<string>'), '|'), {{ text }})
        else {{ text }}
    end
{%- endmacro %}


{#
    A JSON list taken apart: the columns named, element (text: a string as it is, anything else as JSON) and position
    (from 1), one row an element. Text that is no list has no rows.
#}
{% macro json_list_rows(relation, columns, list) -%}
    {{ return(adapter.dispatch('json_list_rows', 'delivery')(relation, columns, list)) }}
{%- endmacro %}

{% macro duckdb__json_list_rows(relation, columns, list) -%}
    select
        {{ columns | join(', ') }},
        unnest(elements) as element,
        unnest(range(1, len(elements) + 1)) as position
    from (
        select
            {{ columns | join(', ') }},
            from_json(case when {{ list }} like '[%' and json_valid({{ list }}) then {{ list }} end, '["VARCHAR"]')
                as elements
        from {{ relation }}
    )
{%- endmacro %}

{% macro postgres__json_list_rows(relation, columns, list) -%}
    select
        {{ columns | join(', ') }},
        listed.element,
        listed.position
    from {{ relation }}
    cross join lateral json_array_elements_text(
        case when {{ list }} like '[%' and {{ postgres__is_json(list) }} then cast({{ list }} as json) else '[]' end
    ) with ordinality as listed (element, position)
{%- endmacro %}

{% macro spark__json_list_rows(relation, columns, list) -%}
    select
        {{ columns | join(', ') }},
        listed.element,
        cast(listed.position + 1 as bigint) as position
    from {{ relation }}
    lateral view posexplode(
        from_json(case when {{ list }} like '[%' then {{ list }} end, 'array<string>')
    ) listed as position, element
{%- endmacro %}
