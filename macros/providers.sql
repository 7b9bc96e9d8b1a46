{# Email providers: a folder of files, or a table, of posts each. What a post says is its staging model's to know. #}

{# The providers in use, each once: var('providers'). #}
{% macro providers() -%}
    {%- set named = var('providers') -%}
    {%- if named is string or named is mapping or named is not iterable or not named -%}
        {%- do exceptions.raise_compiler_error(
            'The var providers is ' ~ named ~ '. Set it to the list of email providers in use, as [sendgrid].'
        ) -%}
    {%- endif -%}
    {{ return(named | unique | list) }}
{%- endmacro %}


{#
    One row per event that a provider posted, as it came, of new and changed files only: payload, fault, file_name,
    line_number, landed_at, received_at (of a line that does not say, or says what cannot be, the time of its file or load),
    event_day, loaded_at.
#}
{% macro posted_events(provider) -%}
with files as (

    select * from {{ ref('base_landing__files') }}

),

landed as (

    {{ landed_events(source(provider, 'events'), new_files(provider), landing_dir()) | indent(4) }}

),

written as (

    select
        landed.payload,
        landed.fault,
        landed.file_name,
        landed.line_number,
        coalesce(landed.landed_at, files.modified_at) as landed_at,
        landed.received_at,
        {{ dbt_delivery.started_at() }} as loaded_at
    from landed
    left join files on landed.file_name = files.file_name

),

judged as (

    select
        *,
        {{ is_possible_time('received_at', was_there_at()) }} as is_possible
    from written

),

dated as (

    select
        payload,
        coalesce(fault, case when not is_possible then 'received_at cannot be' end) as fault,
        file_name,
        line_number,
        landed_at,
        case when is_possible then received_at else {{ was_there_at() }} end as received_at,
        loaded_at
    from judged

)

select
    *,
    cast(received_at as date) as event_day
from dated
{%- endmacro %}


{#
    The same rows with fields of their payloads as texts, NULL where there is nothing: columns that end in _text. fields: by
    name, where each is in the payload below `below`; or a list of fields, which are called so, with _ for - and /.
#}
{% macro posted_texts(provider, fields, below='') -%}
{%- set paths = {} -%}
{%- for name in fields -%}
    {%- do paths.update({name | replace('-', '_') | replace('/', '_'): below ~ (fields[name] if fields is mapping else name)}) -%}
{%- endfor -%}
with posted as (

    {{ posted_events(provider) | indent(4) }}

),

parsed as (

    {{ json_documents('posted', 'payload', paths.values() | list, says_all_else()) | indent(4) }}

)

select
    received_at,
    event_day,
    payload,
    fault,
    file_name,
    line_number,
    landed_at,
    {%- for name, path in paths.items() %}
    nullif({{ json_field('document', path) }}, '') as {{ name }}_text,
    {%- endfor %}
    loaded_at
from parsed
{%- endmacro %}


{#
    The first digit of a server's reply: of its code, where that begins with one (a word, or a dash, says that there is
    none), else the first that stands in its text.
#}
{% macro reply_class(code, reply) -%}
    case
        when {{ matches(trimmed(code), '^[0-9]') }} then left({{ trimmed(code) }}, 1)
        else nullif(left({{ without(reply, '^[^0-9]*') }}, 1), '')
    end
{%- endmacro %}


{#
    By which posts of one event are found, however late: a short hash of the provider's id, and one of what a retry has alike
    with the first post, whatever its id is and whoever else has to say whose it is. Of a line with a fault, of the line.
#}
{% macro event_hashes() -%}
    {%- set alike = ['email', 'occurred_at', 'provider_message_id', 'smtp_id', 'click_url', 'user_agent', 'ip_address'] -%}
    {{ short_hash('case when fault is null then event_id end') }} as id_hash,
    {{ short_hash(
        'case when fault is null then ' ~ surrogate_key(alike) ~ ' else '
        ~ surrogate_key(['file_name', 'line_number', 'payload']) ~ ' end'
    ) }} as alike_hash
{%- endmacro %}
