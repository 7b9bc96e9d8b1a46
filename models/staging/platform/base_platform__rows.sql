{%- set fields = needed_fields().values() | sum(start=[]) | unique | list -%}

{{ config(materialized='incremental', incremental_strategy=file_strategy()) }}

with landed as (

    {{ entity_rows('platform') | indent(4) }}

),

parsed as (

    {{ json_documents('landed', 'payload', fields) | indent(4) }}

),

received as (

    select
        *,
        {{ try_timestamp(json_field('document', 'received_at')) }} as received_at
    from parsed

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
from received
