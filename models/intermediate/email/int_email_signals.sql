{{
    config(
        materialized='incremental', incremental_strategy='append', on_schema_change='fail',
        pre_hook="{{ delete_days_due() }}", partition_by=day_parts()
    )
}}

with events as (

    select * from {{ ref('int_email_events_classified') }}
    where disposition in ('exported', 'not_exported')
        and event_day in (select event_day from {{ ref('int_days_due') }} where model = 'int_email_signals')

),

event_types as (

    select distinct
        event,
        signal
    from {{ ref('event_types') }}
    where signal <> ''

)

select
    events.namespace,
    events.email,
    event_types.signal,
    events.event,
    events.unsubscribe_source as source,
    events.received_at,
    events.event_day,
    events.unique_key
from events
inner join event_types on events.event = event_types.event
