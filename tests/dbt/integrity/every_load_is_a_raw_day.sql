-- Each day that the last load touched is due since then: what int_raw_days forgot, no bounded test would look at.
with events as (

    select * from {{ ref('base_sendgrid__events') }}

),

platform_rows as (

    select * from {{ ref('base_platform__rows') }}
    where entity in ('halts', 'unsubscribes')

),

raw_days as (

    select
        event_day,
        max(loaded_at) as loaded_at
    from {{ ref('int_raw_days') }}
    group by event_day

),

last_load as (

    select distinct
        event_day,
        loaded_at
    from events
    where loaded_at = (select max(events.loaded_at) from events)

    union

    select distinct
        event_day,
        loaded_at
    from platform_rows
    where loaded_at = (select max(platform_rows.loaded_at) from platform_rows)

)

select
    last_load.event_day,
    last_load.loaded_at,
    raw_days.loaded_at as due_since
from last_load
left join raw_days on last_load.event_day = raw_days.event_day
where raw_days.loaded_at is null or raw_days.loaded_at < last_load.loaded_at
