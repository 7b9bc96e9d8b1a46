{{
    config(
        materialized='incremental', incremental_strategy='append', on_schema_change='fail',
        pre_hook="{{ delete_days_due() }}", partition_by=day_parts(), indexes=day_indexes(['namespace'])
    )
}}

with unsubscribes as (

    select * from {{ ref('email_events') }}
    where event = 'unsubscribe' and is_exported
        and {{ is_due('email_unsubscribes') }}

),

changes as (

    select
        unique_key,
        event_day,
        max(changed_at) as changed_at
    from {{ ref('email_changes') }}
    where coalesce(is_of_unsubscribe, true)
    group by unique_key, event_day

),

sources as (

    select * from {{ ref('unsubscribe_sources') }}
    where origin <> 'email'

)

select
    unsubscribes.namespace,
    unsubscribes.email,
    unsubscribes.event,
    unsubscribes.event_time,
    unsubscribes.device_type,
    unsubscribes.user_agent,
    unsubscribes.campaign_id,
    unsubscribes.campaign_name,
    unsubscribes.campaign_classification,
    unsubscribes.audience_id,
    unsubscribes.campaign_run_id,
    unsubscribes.campaign_run_time,
    unsubscribes.variant_id,
    unsubscribes.subject_line,
    unsubscribes.tracking_parameters,
    unsubscribes.nqe,
    unsubscribes.unique_key,
    greatest(unsubscribes.updated_at, coalesce(changes.changed_at, unsubscribes.updated_at)) as updated_at,
    unsubscribes.event_day
from unsubscribes
left join sources on {{ lowered('unsubscribes.unsubscribe_source') }} = {{ lowered('sources.unsubscribe_source') }}
left join changes
    on unsubscribes.unique_key = changes.unique_key
    and unsubscribes.event_day = changes.event_day
where sources.unsubscribe_source is null
order by unsubscribes.event_day, unsubscribes.namespace, unsubscribes.event_time, unsubscribes.unique_key
