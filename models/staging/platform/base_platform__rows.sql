{{ config(materialized='incremental', incremental_strategy=file_strategy()) }}

with landed as (

    {{ entity_rows('platform', needed_fields().values() | sum(start=[]) | unique | list) | indent(4) }}

)

select
    entity,
    coalesce(received_at, landed_at) as received_at,
    cast(coalesce(received_at, landed_at) as date) as event_day,
    payload,
    coalesce(fault, {{ record_fault('document') }}) as fault,
    file_name,
    line_number,
    landed_at,
    {{ started_at() }} as loaded_at
from landed
