{# JSON: each engine has its own functions. A document is parsed once, into something that fields are taken from. #}

{#
    The rows of a relation, each with the JSON object of a text column as its document, of which json_field takes the
    fields named; a/b is the field b of the object a. A text that is no object has none: what a client puts into a field may
    be anything.
#}
{% macro json_documents(relation, column, fields, condition='fault is null') -%}
    {{ return(adapter.dispatch('json_documents', 'delivery')(relation, column, fields, condition)) }}
{%- endmacro %}

{% macro duckdb__json_documents(relation, column, fields, condition) -%}
    select
        *,
        case
            when {{ condition }} then try(json_transform({{ column }}, '{{ tojson(field_tree(fields)) }}'))
        end as document
    from {{ relation }}
{%- endmacro %}

{# A function among the tables: its fields are columns to the planner, which would parse an expression anew for each use. #}
{% macro postgres__json_documents(relation, column, fields, condition) -%}
    {%- set text = relation ~ '.' ~ column -%}
    {%- set json -%}
        case
            when {{ condition }} and left(ltrim({{ text }}, E' \t\r\n'), 1) = '{{ "{" }}' and {{ postgres__is_json(text) }}
                then cast({{ text }} as json)
        end
    {%- endset -%}
    {%- set types = {} -%}
    {%- for name, below in field_tree(fields or ['none']).items() -%}
        {%- do types.update({name: 'text' if below is string else 'json'}) -%}
    {%- endfor -%}
    select
        {{ relation }}.*,
        document,
        {{ json }} as document_json
    from {{ relation }}
    left join lateral json_to_record({{ json }}) as document (
        {%- for name, type in types.items() %}"{{ name }}" {{ type }}{{ ', ' if not loop.last }}{% endfor -%}
    ) on true
{%- endmacro %}

{% macro spark__json_documents(relation, column, fields, condition) -%}
    select
        *,
        case
            when {{ condition }} then from_json({{ column }}, '{{ spark__json_schema(field_tree(fields)) }}')
        end as document
    from {{ relation }}
{%- endmacro %}

{% macro snowflake__json_documents(relation, column, fields, condition) -%}
    select
        *,
        case when {{ condition }} then try_parse_json({{ column }}) end as document
    from {{ relation }}
{%- endmacro %}

{% macro bigquery__json_documents(relation, column, fields, condition) -%}
    select
        *,
        case when {{ condition }} then safe.parse_json({{ column }}, wide_number_mode => 'round') end as document
    from {{ relation }}
{%- endmacro %}

{% macro default__json_documents(relation, column, fields, condition) -%}
    {{ no_form('json_documents') }}
{%- endmacro %}

{% macro spark__json_schema(tree) -%}
    {%- for name, below in tree.items() -%}
        `{{ name }}` {{ 'string' if below is string else 'struct<' ~ spark__json_schema(below) ~ '>' }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}


{# Fields as a tree: those of an object below its name, each at its end with the word for text. #}
{% macro field_tree(fields) -%}
    {%- set tree = {} -%}
    {%- for field in fields -%}
        {%- set names = field.split('/') -%}
        {%- set at = namespace(branch=tree) -%}
        {%- for name in names[:-1] -%}
            {%- set at.branch = at.branch.setdefault(name, {}) -%}
        {%- endfor -%}
        {%- do at.branch.update({names[-1]: 'VARCHAR'}) -%}
    {%- endfor -%}
    {{ return(tree) }}
{%- endmacro %}


{#
    Whether a text that stands in a field, and that the engine reads as JSON, is JSON by the letter: what makes a line none (a
    comma too many, NaN, NUL, half a character) is looked for in it, too.
#}
{% macro is_sound(text) -%}
    {{ return(adapter.dispatch('is_sound', 'delivery')(text)) }}
{%- endmacro %}

{% macro duckdb__is_sound(text) -%}
    {{ is_sound_by_patterns(text) }}
{%- endmacro %}

{% macro spark__is_sound(text) -%}
    {{ is_sound_by_patterns(text) }}
{%- endmacro %}

{#
    By patterns, as a view is read without the functions of a plugin, too: of escapes, once backslashes that stand for one and
    pairs of halves are gone, and of what is left when each text between quotes is an empty one. Hardly any text has what
    could be one; taking all of them apart would cost a fortieth of a build.
#}
{% macro is_sound_by_patterns(text) -%}
    {%- set escapes = without("replace(" ~ text ~ ", '\\\\', '')", '\\\\u[dD][89abAB]..\\\\u[dD][c-fC-F]..') -%}
    {%- set without_texts = without(text, '"(?:[^"\\\\]|\\\\.)*"', '""') -%}
    {%- set halves_and_nul, lax = '\\\\u(0000|[dD][89a-fA-F])', ',\\s*[}\\]]|(?i:nan|inf)' -%}
    case
        when {{ matches(text, halves_and_nul) }} and {{ matches(escapes, halves_and_nul) }} then false
        when {{ matches(text, lax) }} and {{ matches(without_texts, lax) }} then false
        else true
    end
{%- endmacro %}

{% macro default__is_sound(text) -%}
    true
{%- endmacro %}


{# One field of a document, as text: text as it is, numbers and truth in JSON's spelling, the rest as JSON. #}
{% macro json_field(document, field) -%}
    {{ return(adapter.dispatch('json_field', 'delivery')(document, field)) }}
{%- endmacro %}

{% macro duckdb__json_field(document, field) -%}
    {{ document }}."{{ field | replace('/', '"."') }}"
{%- endmacro %}

{#
    As the other engines write it: no blanks between the parts of lists and objects, no needless escapes or digits. Looked at
    closely only where it could be written in another way; text keeps its own.
#}
{% macro postgres__json_field(document, field) -%}
    {%- set name, below = field.split('/')[0], field.split('/')[1:] | join(',') -%}
    {%- set whole = '(' ~ document ~ ')."' ~ name ~ '"' -%}
    {%- set text = '(' ~ whole ~ " #>> '{" ~ below ~ "}')" if below else whole -%}
    {%- set json = whole ~ " #> '{" ~ below ~ "}'" if below else document ~ "_json -> '" ~ name ~ "'" -%}
    case
        when {{ text }} ~ '^([[{].*(\s|\\[u/]|\d[eE][-+\d]|[.]\d+0[]},\s])|-?\d+([.]\d+([eE][-+]?\d+)?|[eE][-+]?\d+)$)' is true
            then {{ target.schema }}.json_text({{ json }})
        else {{ text }}
    end
{%- endmacro %}

{#
    Java writes a number of more than seven digits before the point with a power of ten, and in lists and objects a sign
    beyond the first 65,536 as two escapes.
#}
{% macro spark__json_field(document, field) -%}
    {%- set text = document ~ '.`' ~ (field | replace('/', '`.`')) ~ '`' -%}
    case
        when {{ text }} like '%.%E%' and {{ matches(text, '^-?[0-9][.][0-9]+E(-4|[0-9]|1[0-5])$') }}
            then regexp_replace(cast(cast({{ text }} as decimal(38, 19)) as string), '([.][0-9]+?)0*\z', '$1')
        when instr({{ text }}, '\uD') > 0 and left({{ text }}, 1) in ('{{ "{" }}', '[')
            then aggregate(
                array_distinct(regexp_extract_all({{ text }}, '\\u(D[89AB]..)\\u(D[C-F]..)', 0)), {{ text }},
                (whole, pair) -> replace(whole, pair, decode(unhex(replace(pair, '\u', '')), 'UTF-16BE'))
            )
        else {{ text }}
    end
{%- endmacro %}


{% macro snowflake__json_field(document, field) -%}
    cast({{ document }}:"{{ field | replace('/', '"."') }}" as {{ dbt.type_string() }})
{%- endmacro %}

{# What is no single value comes as JSON; one that is not there is the text null then. #}
{% macro bigquery__json_field(document, field) -%}
    {%- set path = "'$.\"" ~ (field | replace('/', '"."')) ~ "\"'" -%}
    coalesce(
        json_value({{ document }}, {{ path }}),
        nullif(to_json_string(json_query({{ document }}, {{ path }})), 'null')
    )
{%- endmacro %}

{% macro default__json_field(document, field) -%}
    {{ no_form('json_field') }}
{%- endmacro %}


{# A JSON object of texts, as text. fields: expressions by name; a field that is NULL is null, or not there. #}
{% macro json_object(fields) -%}
    {{ return(adapter.dispatch('json_object', 'delivery')(fields)) }}
{%- endmacro %}

{# name, value, name, value, … #}
{% macro named_values(fields) -%}
    {%- for name, value in fields.items() -%}
        '{{ name }}', {{ value }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro duckdb__json_object(fields) -%}
    cast(json_object({{ named_values(fields) }}) as varchar)
{%- endmacro %}

{% macro postgres__json_object(fields) -%}
    cast(json_build_object({{ named_values(fields) }}) as text)
{%- endmacro %}

{% macro spark__json_object(fields) -%}
    to_json(named_struct({{ named_values(fields) }}))
{%- endmacro %}

{% macro snowflake__json_object(fields) -%}
    to_json(object_construct({{ named_values(fields) }}))
{%- endmacro %}

{% macro bigquery__json_object(fields) -%}
    to_json_string(json_object({{ named_values(fields) }}))
{%- endmacro %}

{% macro default__json_object(fields) -%}
    {{ no_form('json_object') }}
{%- endmacro %}


{# Text that is one value or a JSON list of values: the values joined by a pipe. The blanks around it do not count. #}
{% macro piped(text) -%}
    {{ return(filled(adapter.dispatch('piped', 'delivery')(text))) }}
{%- endmacro %}

{% macro duckdb__piped(text) -%}
    case
        when {{ text }} like '[%' and json_valid({{ text }}) and {{ is_sound(text) }}
            then list_aggregate(from_json({{ text }}, '["VARCHAR"]'), 'string_agg', '|')
        else {{ text }}
    end
{%- endmacro %}

{% macro postgres__piped(text) -%}
    {{ target.schema }}.piped({{ text }})
{%- endmacro %}

{% macro spark__piped(text) -%}
    case
        when {{ text }} like '[%' and {{ is_sound(text) }}
            then coalesce(array_join(from_json({{ text }}, 'array<string>'), '|'), {{ text }})
        else {{ text }}
    end
{%- endmacro %}


{% macro snowflake__piped(text) -%}
    case
        when {{ text }} like '[%' then coalesce(array_to_string(cast(try_parse_json({{ text }}) as array), '|'), {{ text }})
        else {{ text }}
    end
{%- endmacro %}

{% macro bigquery__piped(text) -%}
    case
        when {{ text }} like '[%' and safe.parse_json({{ text }}) is not null
            then (
                select string_agg(coalesce(json_value(part), nullif(to_json_string(part), 'null')), '|' order by place)
                from unnest(json_query_array(safe.parse_json({{ text }}))) as part with offset as place
            )
        else {{ text }}
    end
{%- endmacro %}

{% macro default__piped(text) -%}
    {{ no_form('piped') }}
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
            from_json(
                case when {{ list }} like '[%' and json_valid({{ list }}) and {{ is_sound(list) }} then {{ list }} end,
                '["VARCHAR"]'
            ) as elements
        from {{ relation }}
    )
{%- endmacro %}

{% macro postgres__json_list_rows(relation, columns, list) -%}
    select
        {{ columns | join(', ') }},
        {{ target.schema }}.json_text(listed.element) as element,
        listed.position
    from {{ relation }}
    cross join lateral json_array_elements(
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
        from_json(case when {{ list }} like '[%' and {{ is_sound(list) }} then {{ list }} end, 'array<string>')
    ) listed as position, element
{%- endmacro %}

{% macro snowflake__json_list_rows(relation, columns, list) -%}
    select
        {{ columns | join(', ') }},
        cast(listed.value as {{ dbt.type_string() }}) as element,
        listed.index + 1 as position
    from {{ relation }},
        lateral flatten(input => cast(case when {{ list }} like '[%' then try_parse_json({{ list }}) end as array)) as listed
{%- endmacro %}

{% macro bigquery__json_list_rows(relation, columns, list) -%}
    select
        {{ columns | join(', ') }},
        coalesce(json_value(listed), nullif(to_json_string(listed), 'null')) as element,
        place + 1 as position
    from {{ relation }}
    cross join
        unnest(json_query_array(case when {{ list }} like '[%' then safe.parse_json({{ list }}) end)) as listed
        with offset as place
{%- endmacro %}

{% macro default__json_list_rows(relation, columns, list) -%}
    {{ no_form('json_list_rows') }}
{%- endmacro %}
