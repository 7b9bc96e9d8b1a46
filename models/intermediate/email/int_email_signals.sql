{{
    config(
        materialized='incremental', incremental_strategy='append', on_schema_change='fail',
        pre_hook="{{ delete_days_due() }}", partition_by=day_parts(), indexes=day_indexes()
    )
}}

-- Built with whatever reads events, as days due are asked of it: depends_on: {{ ref('int_record_days') }}
with events as (

    select * from {{ ref('int_email_events_classified') }}
    where disposition <> 'duplicate'
        and {{ is_due('int_email_signals') }}

),

event_types as (

    select distinct
        event,
        signal
    from {{ ref('event_types') }}
    where signal <> ''

),

reasons as (

    select * from {{ ref('rejection_reasons') }}

)

select
    events.namespace,
    events.email,
    event_types.signal,
    events.event,
    events.unsubscribe_source as source,
    events.unsubscribe_group,
    least(coalesce(events.occurred_at, events.received_at), events.received_at) as said_at,
    events.received_at,
    events.event_day,
    events.unique_key,
    events.is_rejected
from events
inner join event_types on events.event = event_types.event
left join reasons on events.rejection_reason = reasons.reason
where (events.rejection_reason is null or reasons.knows_address)
    -- When its file was written is no date of a consent.
    and (event_types.signal <> 'opt_in' or events.fault is null or events.occurred_at is not null)
