{{
    config(
        materialized='incremental', incremental_strategy='append', on_schema_change='fail',
        pre_hook="{{ delete_days_due() }}", partition_by=day_parts(), indexes=day_indexes()
    )
}}

with events as (

    select * from {{ ref('email_events') }}
    where nqe is not null
        and {{ is_due('email_days') }}

),

sources as (

    select * from {{ ref('unsubscribe_sources') }}
    where origin <> 'email'

),

-- A bounce or a spam report that unsubscribes its address is nobody's click to unsubscribe.
counted as (

    select
        events.*,
        case
            when events.is_bot_click then 'bot_click'
            when events.event = 'unsubscribe' and sources.unsubscribe_source is not null then 'elsewhere'
            else events.event
        end as counted_as
    from events
    left join sources on {{ lowered('events.unsubscribe_source') }} = {{ lowered('sources.unsubscribe_source') }}

)

select
    namespace,
    nqe,
    event_day,
    min(email) as email,
    min(campaign_id) as campaign_id,
    min(campaign_run_id) as campaign_run_id,
    min(campaign_run_time) as campaign_run_time,
    min(audience_id) as audience_id,
    min(variant_id) as variant_id,
    min(journey_id) as journey_id,
    min(case when counted_as = 'send' then event_time end) as sent_at,
    min(case when counted_as = 'deliver' then event_time end) as delivered_at,
    min(case when counted_as = 'open' then event_time end) as first_open_at,
    max(case when counted_as = 'open' then event_time end) as last_open_at,
    min(case when counted_as = 'click' then event_time end) as first_click_at,
    max(case when counted_as = 'click' then event_time end) as last_click_at,
    min(case when event = 'unsubscribe' then event_time end) as unsubscribed_at,
    min(case when counted_as = 'spam_report' then event_time end) as spam_reported_at,
    min(case when counted_as in ('hard_bounce', 'soft_bounce') then event_time end) as bounced_at,
    cast(sum(case when counted_as = 'open' then 1 else 0 end) as bigint) as opens,
    cast(sum(case when is_machine_open then 1 else 0 end) as bigint) as machine_opens,
    cast(sum(case when counted_as = 'click' then 1 else 0 end) as bigint) as clicks,
    cast(sum(case when counted_as = 'bot_click' then 1 else 0 end) as bigint) as bot_clicks,
    cast(sum(case when counted_as = 'unsubscribe' then 1 else 0 end) as bigint) as unsubscribes,
    cast(sum(case when counted_as = 'hard_bounce' then 1 else 0 end) as bigint) as hard_bounces,
    cast(sum(case when counted_as = 'soft_bounce' then 1 else 0 end) as bigint) as soft_bounces,
    cast(sum(case when counted_as = 'deferred' then 1 else 0 end) as bigint) as deferrals,
    cast(sum(case when counted_as = 'dropped' then 1 else 0 end) as bigint) as drops,
    cast(sum(case when counted_as = 'halt' then 1 else 0 end) as bigint) as halts,
    max(updated_at) as updated_at
from counted
group by namespace, nqe, event_day
