{{ config(materialized='incremental', incremental_strategy=file_strategy()) }}

with landed as (

    {{ entity_rows('platform') | indent(4) }}

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
from landed
