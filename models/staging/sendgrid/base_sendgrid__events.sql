{%- set fields = ['namespace', 'sg_message_id', 'smtp-id'] -%}

{{
    config(
        materialized='incremental', incremental_strategy=file_strategy(), partition_by=day_parts(),
        indexes=raw_indexes(['event_day'])
    )
}}

with files as (

    select * from {{ ref('base_landing__files') }}

),

landed as (

    {{ landed_events(source('sendgrid', 'events'), new_files('sendgrid'), landing_dir()) | indent(4) }}

),

written as (

    select
        landed.payload,
        landed.fault,
        landed.file_name,
        landed.line_number,
        coalesce(landed.landed_at, files.modified_at) as landed_at,
        landed.received_at
    from landed
    left join files on landed.file_name = files.file_name

),

judged as (

    select
        *,
        {{ is_possible_time('received_at', 'landed_at') }} as is_possible
    from written

),

dated as (

    select
        payload,
        coalesce(fault, case when not is_possible then 'received_at cannot be' end) as fault,
        file_name,
        line_number,
        landed_at,
        case when is_possible then received_at else landed_at end as received_at
    from judged

),

told as (

    {{ json_documents('dated', 'payload', fields) | indent(4) }}

)

select
    received_at,
    cast(received_at as date) as event_day,
    payload,
    fault,
    nullif(split_part({{ json_field('document', 'sg_message_id') }}, '.', 1), '') as message_id,
    nullif({{ json_field('document', 'smtp-id') }}, '') as smtp_id,
    case when fault is null then coalesce({{ json_field('document', 'namespace') }}, '') <> '' end as has_namespace,
    file_name,
    line_number,
    landed_at,
    {{ dbt_delivery.started_at() }} as loaded_at
from told
