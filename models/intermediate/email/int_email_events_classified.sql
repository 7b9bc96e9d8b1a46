{{
    config(
        materialized='incremental', incremental_strategy='append', on_schema_change='fail',
        pre_hook="{{ delete_days_due() }}", partition_by=day_parts(), indexes=day_indexes()
    )
}}

with events as (

    select
        *,
        rejection_reason is not null as is_rejected
    from {{ ref('int_email_events_recognised') }}
    where {{ is_due('int_email_events_classified') }}
        and {{ worked_out_once() }}

),

earlier_events as (

    {{ earlier_email_events() | indent(4) }}

),

seen_on_earlier_days as (

    {% for id in ['unique_key', 'retry_id'] %}
    select
        events.unique_key,
        events.is_rejected,
        events.event_day
    from events
    inner join earlier_events
        on events.{{ id }} = earlier_events.{{ id }}
        and events.is_rejected = earlier_events.is_rejected
        and events.event_day > earlier_events.event_day
    {% if not loop.last %}union distinct{% endif %}
    {% endfor %}

),

under_other_ids as (

    select
        retry_id,
        is_rejected
    from events
    group by retry_id, is_rejected
    having min(unique_key) <> max(unique_key)

),

repeated as (

    select
        unique_key,
        is_rejected
    from events
    group by unique_key, is_rejected
    having count(*) > 1

    union distinct

    select
        events.unique_key,
        events.is_rejected
    from events
    inner join under_other_ids
        on events.retry_id = under_other_ids.retry_id
        and events.is_rejected = under_other_ids.is_rejected

),

numbered as (

    select
        events.*,
        row_number() over (
            partition by events.unique_key, events.is_rejected
            order by events.received_at, events.payload_hash, events.file_name, events.line_number
        ) as number_of_id,
        row_number() over (
            partition by
                events.retry_id, events.is_rejected,
                case when events.retry_id is null then events.unique_key end
            order by events.received_at, events.payload_hash, events.file_name, events.line_number
        ) as number_of_retry
    from events
    inner join repeated
        on events.unique_key = repeated.unique_key
        and events.is_rejected = repeated.is_rejected

    union all

    select
        events.*,
        1 as number_of_id,
        1 as number_of_retry
    from events
    left join repeated
        on events.unique_key = repeated.unique_key
        and events.is_rejected = repeated.is_rejected
    where repeated.unique_key is null

),

judged as (

    select
        numbered.*,
        case
            when seen_on_earlier_days.unique_key is not null then 'duplicate'
            when numbered.number_of_id > 1 or numbered.number_of_retry > 1 then 'duplicate'
            when numbered.is_rejected then 'rejected'
            when numbered.is_exported then 'exported'
            else 'not_exported'
        end as disposition
    from numbered
    left join seen_on_earlier_days
        on numbered.unique_key = seen_on_earlier_days.unique_key
        and numbered.is_rejected = seen_on_earlier_days.is_rejected
        and numbered.event_day = seen_on_earlier_days.event_day

)

select
    source,
    disposition,
    is_rejected,
    rejection_reason,
    fault,
    unique_key,
    retry_id,
    namespace,
    email,
    event,
    reason,
    unlisted_bounce,
    category,
    user_agent,
    click_url,
    unsubscribe_source,
    unsubscribe_group,
    is_machine_open,
    campaign_id,
    campaign_name,
    campaign_classification,
    audience_id,
    campaign_run_id,
    campaign_run_time,
    variant_id,
    subject_line,
    tracking_parameters,
    run_version,
    nqe,
    extra_fields,
    journey_id,
    journey_name,
    occurred_at,
    received_at,
    event_day,
    updated_at,
    case when disposition = 'rejected' then payload end as payload,
    file_name,
    line_number
from judged
