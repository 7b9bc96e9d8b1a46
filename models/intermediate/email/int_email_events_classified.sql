{{
    config(
        materialized='incremental', incremental_strategy='append', on_schema_change='fail',
        pre_hook="{{ delete_days_due() }}", partition_by=day_parts(), indexes=day_indexes()
    )
}}

{#- Who has an id first keeps the key that is made of it; the others' is made of address and kind, too. -#}
{%- set own_key -%}
    case
        when owners.unique_key is not null and (
            coalesce(events.email, '') <> coalesce(owners.email, '')
            or coalesce(events.event, '') <> coalesce(owners.event, '')
        )
            then {{ surrogate_key(['events.unique_key', 'events.email', 'events.event']) }}
        else events.unique_key
    end
{%- endset %}

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

repeated_ids as (

    select
        unique_key,
        is_rejected,
        min(coalesce(email, '')) <> max(coalesce(email, ''))
        or min(coalesce(event, '')) <> max(coalesce(event, '')) as is_shared
    from events
    group by unique_key, is_rejected
    having count(*) > 1

),

-- An id that events of several addresses or kinds have, by mistake of their source: of each of them one is told.
shared_ids as (

    select
        unique_key,
        is_rejected
    from repeated_ids
    where is_shared

    union distinct

    select
        events.unique_key,
        events.is_rejected
    from events
    inner join earlier_events
        on events.unique_key = earlier_events.unique_key
        and events.is_rejected = earlier_events.is_rejected
        and events.event_day > earlier_events.event_day
    where coalesce(events.email, '') <> coalesce(earlier_events.email, '')
        or coalesce(events.event, '') <> coalesce(earlier_events.event, '')

),

named_by_them as (

    select
        events.unique_key,
        events.is_rejected,
        events.email,
        events.event,
        events.received_at,
        events.payload_hash,
        events.file_name,
        events.line_number,
        1 as place
    from events
    inner join shared_ids
        on events.unique_key = shared_ids.unique_key
        and events.is_rejected = shared_ids.is_rejected

    union all

    select
        earlier_events.unique_key,
        earlier_events.is_rejected,
        earlier_events.email,
        earlier_events.event,
        null as received_at,
        null as payload_hash,
        null as file_name,
        null as line_number,
        0 as place
    from earlier_events
    inner join shared_ids
        on earlier_events.unique_key = shared_ids.unique_key
        and earlier_events.is_rejected = shared_ids.is_rejected

),

owners as (

    select
        unique_key,
        is_rejected,
        email,
        event,
        row_number() over (
            partition by unique_key, is_rejected
            order by place, received_at, payload_hash, file_name, line_number
        ) as number
    from named_by_them

),

own_keys as (

    select
        events.unique_key,
        events.retry_id,
        events.is_rejected,
        events.event_day,
        {{ own_key }} as own_key
    from events
    left join owners
        on events.unique_key = owners.unique_key
        and events.is_rejected = owners.is_rejected
        and owners.number = 1

),

seen_on_earlier_days as (

    {% for ours, theirs in [('own_key', 'unique_key'), ('retry_id', 'retry_id')] %}
    select
        own_keys.own_key,
        own_keys.is_rejected,
        own_keys.event_day
    from own_keys
    inner join earlier_events
        on own_keys.{{ ours }} = earlier_events.{{ theirs }}
        and own_keys.is_rejected = earlier_events.is_rejected
        and own_keys.event_day > earlier_events.event_day
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
    from repeated_ids

    union distinct

    select
        events.unique_key,
        events.is_rejected
    from events
    inner join under_other_ids
        on events.retry_id = under_other_ids.retry_id
        and events.is_rejected = under_other_ids.is_rejected

    union distinct

    select * from shared_ids

),

told_again as (

    select
        events.*,
        {{ own_key }} as own_key
    from events
    inner join repeated
        on events.unique_key = repeated.unique_key
        and events.is_rejected = repeated.is_rejected
    left join owners
        on events.unique_key = owners.unique_key
        and events.is_rejected = owners.is_rejected
        and owners.number = 1

),

numbered as (

    select
        told_again.*,
        row_number() over (
            partition by told_again.own_key, told_again.is_rejected
            order by told_again.received_at, told_again.payload_hash, told_again.file_name, told_again.line_number
        ) as number_of_id,
        row_number() over (
            partition by
                told_again.retry_id, told_again.is_rejected,
                case when told_again.retry_id is null then told_again.own_key end
            order by told_again.received_at, told_again.payload_hash, told_again.file_name, told_again.line_number
        ) as number_of_retry
    from told_again

    union all

    select
        events.*,
        events.unique_key as own_key,
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
            when seen_on_earlier_days.own_key is not null then 'duplicate'
            when numbered.number_of_id > 1 or numbered.number_of_retry > 1 then 'duplicate'
            when numbered.is_rejected then 'rejected'
            when numbered.is_exported then 'exported'
            else 'not_exported'
        end as disposition
    from numbered
    left join seen_on_earlier_days
        on numbered.own_key = seen_on_earlier_days.own_key
        and numbered.is_rejected = seen_on_earlier_days.is_rejected
        and numbered.event_day = seen_on_earlier_days.event_day

)

select
    source,
    disposition,
    is_rejected,
    rejection_reason,
    fault,
    own_key as unique_key,
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
