{{ config(materialized='incremental', incremental_strategy=file_strategy()) }}

with landed as (

    {{ entity_rows('commerce') | indent(4) }}

)

select
    entity,
    payload,
    fault,
    file_name,
    line_number,
    landed_at,
    {{ started_at() }} as loaded_at
from landed
