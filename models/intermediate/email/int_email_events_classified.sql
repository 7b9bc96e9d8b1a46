{{
    config(
        materialized='incremental', incremental_strategy='append', on_schema_change='fail',
        pre_hook="{{ delete_days_due() }}", partition_by=day_parts(), indexes=day_indexes()
    )
}}

{#- The key of an event, and what it takes to tell it. -#}
{%- set own_key = 'coalesce(others.own_key, events.unique_key)' -%}
{%- set with_others -%}
    left join others
        on events.unique_key = others.unique_key
        and events.is_rejected = others.is_rejected
        and coalesce(events.email, '') = coalesce(others.email, '')
        and coalesce(events.event, '') = coalesce(others.event, '')
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

told_again as (

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
    inner join earlier_events
        on events.unique_key = earlier_events.unique_key
        and events.is_rejected = earlier_events.is_rejected
        and events.event_day > earlier_events.event_day

),

who_has_it as (

    select
        events.unique_key,
        events.is_rejected,
        events.email,
        events.event,
        events.received_at,
        events.payload_hash,
        events.file_name,
        events.line_number
    from events
    inner join told_again
        on events.unique_key = told_again.unique_key
        and events.is_rejected = told_again.is_rejected

    union all

    select
        earlier_events.unique_key,
        earlier_events.is_rejected,
        earlier_events.email,
        earlier_events.event,
        cast(earlier_events.event_day as timestamp) as received_at,
        null as payload_hash,
        null as file_name,
        null as line_number
    from earlier_events
    inner join told_again
        on earlier_events.unique_key = told_again.unique_key
        and earlier_events.is_rejected = told_again.is_rejected

),

owners as (

    select
        unique_key,
        is_rejected,
        email,
        event,
        row_number() over (
            partition by unique_key, is_rejected
            order by received_at, payload_hash, file_name, line_number
        ) as number
    from who_has_it

),

-- An id that a source gives to several addresses or kinds of event: who has it first keeps the key that is made of it.
others as (

    select distinct
        who_has_it.unique_key,
        who_has_it.is_rejected,
        who_has_it.email,
        who_has_it.event,
        {{ surrogate_key(['who_has_it.unique_key', 'who_has_it.email', 'who_has_it.event']) }} as own_key
    from who_has_it
    inner join owners
        on who_has_it.unique_key = owners.unique_key
        and who_has_it.is_rejected = owners.is_rejected
        and owners.number = 1
    where coalesce(who_has_it.email, '') <> coalesce(owners.email, '')
        or coalesce(who_has_it.event, '') <> coalesce(owners.event, '')

),

seen_on_earlier_days as (

    {% for ours, theirs in [(own_key, 'unique_key'), ('events.retry_id', 'retry_id')] %}
    select
        {{ own_key }} as own_key,
        events.is_rejected,
        events.event_day
    from events
    {{ with_others }}
    inner join earlier_events
        on {{ ours }} = earlier_events.{{ theirs }}
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

    select * from told_again

    union distinct

    select
        events.unique_key,
        events.is_rejected
    from events
    inner join under_other_ids
        on events.retry_id = under_other_ids.retry_id
        and events.is_rejected = under_other_ids.is_rejected

),

numbered_by_id as (

    select
        events.*,
        {{ own_key }} as own_key,
        row_number() over (
            partition by {{ own_key }}, events.is_rejected
            order by events.received_at, events.payload_hash, events.file_name, events.line_number
        ) as number_of_id
    from events
    inner join repeated
        on events.unique_key = repeated.unique_key
        and events.is_rejected = repeated.is_rejected
    {{ with_others }}

),

-- What one post holds twice nothing tells apart: the first by its id is the first of its retries, too.
numbered as (

    select
        *,
        row_number() over (
            partition by retry_id, is_rejected, case when retry_id is null then own_key end
            order by received_at, payload_hash, file_name, line_number, number_of_id
        ) as number_of_retry
    from numbered_by_id

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
