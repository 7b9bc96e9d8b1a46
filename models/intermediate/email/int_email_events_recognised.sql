with events as (

    select * from {{ ref('int_email_events_unioned') }}

),

bounce_evidence as (

    select * from {{ ref('bounce_evidence') }}

),

event_types as (

    select * from {{ ref('event_types') }}

),

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

),

campaign_runs as (

    select * from {{ ref('stg_platform__campaign_runs') }}

),

run_versions as (

    select * from {{ ref('int_run_versions') }}

),

journeys as (

    select * from {{ ref('stg_platform__journeys') }}

),

joined as (

    select
        events.source,
        events.source_id,
        events.retry_id,
        events.namespace,
        events.email,
        event_types.event,
        event_types.is_exported,
        coalesce(events.unsubscribe_source, nullif(event_types.unsubscribe_source, '')) as unsubscribe_source,
        events.unsubscribe_group,
        events.reason,
        case
            when event_types.bounce_type <> 'any'
                then coalesce(
                        case when by_type.value is null then events.bounce_type end,
                        case when by_classification.value is null then events.bounce_classification end
                    )
        end as unlisted_bounce,
        events.category,
        events.user_agent,
        events.click_url,
        events.is_machine_open,
        campaign_runs.campaign_id,
        campaign_runs.campaign_name,
        campaign_runs.campaign_classification,
        coalesce(events.audience_id, campaign_runs.audience_id) as audience_id,
        events.campaign_run_id,
        campaign_runs.campaign_run_time,
        events.variant_id,
        campaign_runs.subject_line,
        campaign_runs.tracking_parameters,
        campaign_runs.run_version,
        events.nqe,
        events.extra_fields,
        coalesce(events.journey_id, campaign_runs.journey_id) as journey_id,
        journeys.journey_name,
        events.occurred_at,
        events.received_at,
        events.event_day,
        greatest(
            events.received_at, coalesce(run_versions.told_at, campaign_runs.updated_at, events.received_at)
        ) as updated_at,
        {{ surrogate_key(['events.source', 'events.namespace', 'events.source_id']) }} as unique_key,
        events.payload as raw_payload,
        events.file_name,
        events.line_number,
        case
            when not {{ says_all_else('events.fault') }} then 'malformed'
            when events.namespace is null then 'no_namespace'
            when events.email is null then 'no_email'
            when not ({{ is_possible_address('events.email') }}) then 'impossible_address'
            when event_types.event is null then 'unknown_type'
            when namespaces.namespace is null then 'unknown_namespace'
            when events.fault is not null then 'no_time'
            when not event_types.needs_run then null
            when campaign_runs.campaign_run_id is null then 'unknown_run'
            when not campaign_runs.is_complete then 'incomplete_run'
            when events.nqe is null then 'no_nqe'
            when coalesce(events.audience_id, campaign_runs.audience_id) is null then 'no_audience'
        end as rejection_reason,
        events.fault
    from events
    left join bounce_evidence as by_type
        on by_type.evidence = 'type' and events.bounce_type = by_type.value
    left join bounce_evidence as by_classification
        on by_classification.evidence = 'classification' and events.bounce_classification = by_classification.value
    left join bounce_evidence as by_reply
        on by_reply.evidence = 'reply' and events.reply_class = by_reply.value
    left join event_types
        on events.source = event_types.source
        and events.provider_event = event_types.provider_event
        and event_types.bounce_type in (
            'any', coalesce(
                by_type.bounce_type, nullif(by_classification.bounce_type, ''), by_reply.bounce_type, 'blocked'
            )
        )
    left join namespaces
        on events.namespace = namespaces.namespace
    left join campaign_runs
        on events.namespace = campaign_runs.namespace
        and events.campaign_run_id = campaign_runs.campaign_run_id
    left join run_versions
        on campaign_runs.namespace = run_versions.namespace
        and campaign_runs.campaign_run_id = run_versions.campaign_run_id
        and campaign_runs.run_version = run_versions.run_version
    left join journeys
        on events.namespace = journeys.namespace
        and coalesce(events.journey_id, campaign_runs.journey_id) = journeys.journey_id
        and {{ is_journey_of('campaign_runs.campaign_run_time') }}

)

select
    *,
    {{ dbt.hash('raw_payload') }} as payload_hash,
    case when rejection_reason is not null then raw_payload end as payload
from joined
