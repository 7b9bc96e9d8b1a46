{{ config(materialized='incremental', incremental_strategy=file_strategy(), partition_by=day_parts()) }}

with files as (

    select * from {{ ref('base_landing__files') }}

),

landed as (

    {{ landed_events(source('sendgrid', 'events'), new_files('sendgrid'), landing_dir()) | indent(4) }}

),

dated as (

    select
        landed.payload,
        coalesce(
            landed.fault,
            case
                when not ({{ is_possible_time('landed.received_at', 'coalesce(landed.landed_at, files.modified_at)') }})
                    then 'received_at cannot be'
            end
        ) as fault,
        landed.file_name,
        landed.line_number,
        coalesce(landed.landed_at, files.modified_at) as landed_at,
        case
            when {{ is_possible_time('landed.received_at', 'coalesce(landed.landed_at, files.modified_at)') }}
                then landed.received_at
            else coalesce(landed.landed_at, files.modified_at)
        end as received_at
    from landed
    left join files on landed.file_name = files.file_name

)

select
    received_at,
    cast(received_at as date) as event_day,
    payload,
    fault,
    file_name,
    line_number,
    landed_at,
    {{ started_at() }} as loaded_at
from dated
