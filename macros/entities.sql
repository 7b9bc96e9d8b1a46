{# What the loaders leave, apart from providers' posts: one folder or table an entity, by system. #}

{% macro entities() -%}
    {{ return({
        'platform': [
            'namespaces', 'campaigns', 'campaign_runs', 'audiences', 'journeys', 'halts', 'unsubscribes', 'customers',
            'entitlements'
        ],
        'commerce': ['products', 'orders', 'sessions'],
        'data_science': ['scores']
    }) }}
{%- endmacro %}


{# The sources whose lines are records, as system and entity: those of halts and unsubscribes are events. #}
{% macro sources_of_records() -%}
    {%- set found = [] -%}
    {%- for system, names in entities().items() -%}
        {%- for entity in names if entity not in ('halts', 'unsubscribes') -%}
            {%- do found.append((system, entity)) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{#
    One row per line that a loader left of an entity, of new and changed files only: payload, fault, file_name, line_number,
    landed_at, loaded_at. needs: the fields without which a line is no record, as the first that it lacks is its fault;
    where received_at is one, it and its event_day are columns, of the file's time if it cannot be read, or cannot be.
    newest_counts: an updated_at after the line landed cannot be, as no version could ever follow it. id: the field that is
    the source's own id of an event; id_hash is made of it, or of the line where it has none or a fault.
#}
{% macro landed_records(system, entity, needs=[], id=none, newest_counts=false) -%}
with files as (

    select * from {{ ref('base_landing__files') }}

),

landed as (

    {{ landed_rows(source(system, entity), new_files(system ~ '/' ~ entity), landing_dir()) | indent(4) }}

),

written as (

    select
        landed.payload,
        landed.fault,
        landed.file_name,
        landed.line_number,
        coalesce(landed.landed_at, files.modified_at) as landed_at,
        {{ dbt_delivery.started_at() }} as loaded_at
    from landed
    left join files on landed.file_name = files.file_name

){% if needs %},

parsed as (

    {{ json_documents('written', 'payload', needs + ([id] if id else [])) | indent(4) }}

),

said as (

    select
        *
        {%- for field in needs %},
        {% if field == 'received_at' -%}
        case
            when {{ is_possible_time(needed_field(field), was_there_at()) }} then {{ needed_field(field) }}
        end as {{ field }}
        {%- else -%}
        {{ time_of_record(field) if field == 'updated_at' and newest_counts else needed_field(field) }} as {{ field }}
        {%- endif %}
        {%- endfor %}
        {%- if id %},
        {{ id_said(json_field('document', id)) }} as source_id
        {%- endif %}
    from parsed

){% endif %}

select
    {%- if 'received_at' in needs %}
    coalesce(received_at, {{ was_there_at() }}) as received_at,
    cast(coalesce(received_at, {{ was_there_at() }}) as date) as event_day,
    {%- endif %}
    payload,
    coalesce(
        fault
        {%- for field in needs %},
        case when {{ field }} is null then '{{ field }} is {{ 'no time' if field.endswith('_at') else 'missing' }}' end
        {%- endfor %}
    ) as fault,
    {%- if id %}
    {{ short_hash(
        'coalesce(case when fault is null and ' ~ needs | join(' is not null and ') ~ ' is not null then source_id end, '
        ~ surrogate_key(['file_name', 'line_number', 'payload']) ~ ')'
    ) }} as id_hash,
    {%- endif %}
    file_name,
    line_number,
    landed_at,
    loaded_at
from {{ 'said' if needs else 'written' }}
{%- endmacro %}


{#
    A time of a record, as a document says it; none where it cannot be: before 1970, which is what programs write that know
    none, or a day (clocks differ) after the line landed, as a version of then would be the newest for ever.
#}
{% macro time_of_record(field) -%}
    {%- set said = try_timestamp(json_field('document', field)) -%}
    case
        when {{ said }} >= cast('1970-01-01' as timestamp)
            and not coalesce({{ said }} >= {{ dbt.dateadd('day', 1, was_there_at()) }}, false)
            then {{ said }}
    end
{%- endmacro %}


{# A name by which records find one another, a client's or an id, as a document says it: the blanks around it do not count. #}
{% macro name_said(field) -%}
    {{ filled(json_field('document', field)) }}
{%- endmacro %}


{# The id of an event, as its source says it; a list or an object of nothing is none, as blank text is. #}
{% macro id_said(text) -%}
    nullif(nullif({{ filled(text) }}, '[]'), '{{ "{}" }}')
{%- endmacro %}


{# A field of a document that a line needs, NULL if it does not say it: a time, the number of a campaign, or text. #}
{% macro needed_field(field) -%}
    {%- set said = json_field('document', field) -%}
    {%- if field.endswith('_at') -%}
        {{ try_timestamp(said) }}
    {%- elif field == 'campaign_id' -%}
        {{ try_bigint(said) }}
    {%- else -%}
        {{ filled(said) }}
    {%- endif -%}
{%- endmacro %}


{# A time as payloads say it: seconds since 1970, as a number or a text, or a date with a time. #}
{% macro time_said(text) -%}
    coalesce({{ try_epoch(text) }}, {{ try_timestamp(text) }})
{%- endmacro %}
