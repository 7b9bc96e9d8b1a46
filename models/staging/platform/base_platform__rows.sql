{{ config(materialized='incremental', incremental_strategy=file_strategy()) }}

{%- set entities = platform_entities() %}

with files as (

    select * from {{ ref('base_landing__files') }}

),
{% for entity in entities %}
{{ entity }} as (

    {{ landed_rows(source('platform', entity), new_files('platform/' ~ entity), landing_dir()) | indent(4) }}

),
{% endfor %}
landed as (
    {% for entity in entities %}
    select
        '{{ entity }}' as entity,
        *
    from {{ entity }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

parsed as (

    select
        *,
        case when fault is null then {{ parse_json('payload', ['received_at']) }} end as document
    from landed

),

dated as (

    select
        parsed.entity,
        parsed.payload,
        parsed.fault,
        parsed.file_name,
        parsed.line_number,
        coalesce(parsed.landed_at, files.modified_at) as landed_at,
        {{ try_timestamp(json_field('parsed.document', 'received_at')) }} as received_at
    from parsed
    left join files on parsed.file_name = files.file_name

)

select
    entity,
    coalesce(received_at, landed_at) as received_at,
    cast(coalesce(received_at, landed_at) as date) as event_day,
    payload,
    coalesce(
        fault,
        case when entity in ('halts', 'unsubscribes') and received_at is null then 'received_at is no time' end
    ) as fault,
    file_name,
    line_number,
    landed_at,
    {{ started_at() }} as loaded_at
from dated
