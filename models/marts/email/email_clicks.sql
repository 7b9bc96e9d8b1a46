{{
    config(
        materialized='incremental', incremental_strategy='append', on_schema_change='fail',
        pre_hook="{{ delete_days_due() }}", partition_by=day_parts(), indexes=day_indexes()
    )
}}

with clicks as (

    select * from {{ ref('email_events') }}
    where event = 'click' and not is_bot_click and nqe is not null
        and {{ is_due('email_clicks') }}

)

select
    unique_key,
    namespace,
    email,
    nqe,
    least(coalesce(occurred_at, event_time), event_time) as clicked_at,
    event_day
from clicks
