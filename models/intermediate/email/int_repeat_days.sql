{{
    config(
        materialized='incremental', incremental_strategy='append', on_schema_change='fail',
        pre_hook="{{ delete_days_due() }}", partition_by=day_parts(), indexes=day_indexes()
    )
}}

with asked as (

    select distinct id
    from {{ ref('int_event_ids') }}
    where {{ is_due('int_repeat_days') }}

),

-- The one look at all of history: two narrow columns, or their indexes.
seen as (

    select distinct
        ids.id,
        ids.event_day
    from asked
    inner join {{ ref('int_event_ids') }} as ids on asked.id = ids.id
    where {{ worked_out_once() }}

),

later as (

    select * from seen
    where {{ is_due('int_repeat_days') }}

)

select distinct
    later.event_day,
    earlier.event_day as seen_on
from later
inner join seen as earlier
    on later.id = earlier.id
    and later.event_day > earlier.event_day
