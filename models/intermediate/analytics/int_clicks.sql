{{
    config(
        materialized='incremental', incremental_strategy=day_strategy(), partition_by=day_parts(),
        on_schema_change='fail'
    )
}}

with clicks as (

    select * from {{ ref('email_events') }}
    where event = 'click' and not is_bot_click and nqe is not null and {{ is_due() }}

)

select
    unique_key,
    namespace,
    email,
    nqe,
    event_time as clicked_at,
    event_day
from clicks
