{{
    config(
        materialized='incremental', incremental_strategy='append', on_schema_change='fail',
        pre_hook="{{ delete_days_due() }}", partition_by=day_parts(), indexes=day_indexes()
    )
}}

with events as (

    select * from {{ ref('int_email_events_classified') }}
    where namespace is not null
        and {{ is_due('int_record_days') }}

),

reasons as (

    select * from {{ ref('rejection_reasons') }}

),

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

)

select distinct
    events.event_day,
    events.namespace,
    events.campaign_run_id,
    events.journey_id,
    case
        when events.rejection_reason is null or reasons.knows_address then true
        when events.rejection_reason = 'unknown_namespace' then false
        -- They were rejected before that was asked, but whose their message is may depend on it.
        else namespaces.namespace is not null
    end as knows_namespace,
    events.run_version,
    events.journey_name
from events
left join reasons on events.rejection_reason = reasons.reason
left join namespaces on events.namespace = namespaces.namespace
