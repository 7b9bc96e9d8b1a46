{%- set arguments = ['campaign_run_id', 'audience_id', 'variant_id', 'journey_id', 'nqe'] -%}

{{
    config(
        materialized='incremental', incremental_strategy='append', on_schema_change='fail',
        pre_hook="{{ delete_days_due() }}", partition_by=day_parts(), indexes=day_indexes()
    )
}}

with silent as (

    select distinct
        event_day,
        payload,
        source,
        message_id,
        smtp_id,
        email
    from {{ ref('int_email_events_posted') }}
    where namespace is null and (message_id is not null or smtp_id is not null)
        and {{ is_due('int_email_arguments') }}

),

-- Of half a month of events, the few that share a message with a silent one.
speaking as (

    select * from {{ ref('int_email_events_posted') }}
    where namespace is not null
        and {{ is_near_due('int_email_arguments', var('late_event_days')) }}
        and (message_id in (select message_id from silent) or smtp_id in (select smtp_id from silent))

),

found as (

    {% for id in ['message_id', 'smtp_id'] %}
    select
        silent.event_day,
        silent.payload,
        silent.email,
        speaking.event_day as told_on,
        speaking.namespace,
        {% for argument in arguments %}
        speaking.{{ argument }},
        {% endfor %}
        speaking.email as told_of
    from silent
    inner join speaking
        on silent.source = speaking.source
        and silent.{{ id }} = speaking.{{ id }}
    {% if not loop.last %}union distinct{% endif %}
    {% endfor %}

),

told as (

    select * from found
    where {{ days_between('told_on', 'event_day') }}
        between -{{ var('late_event_days') }} and {{ var('late_event_days') }}

),

agreed as (

    select
        event_day,
        payload,
        min(told_on) as told_from,
        max(told_on) as told_until,
        case when min(namespace) = max(namespace) then min(namespace) end as namespace
    from told
    group by event_day, payload

),

own as (

    select
        {% for argument in arguments %}
        case when min({{ argument }}) = max({{ argument }}) then min({{ argument }}) end as {{ argument }},
        {% endfor %}
        event_day,
        payload
    from told
    where email = told_of
    group by event_day, payload

)

select
    silent.event_day,
    silent.payload,
    silent.message_id,
    silent.smtp_id,
    agreed.told_from,
    agreed.told_until,
    agreed.namespace,
    case when agreed.namespace is not null then own.campaign_run_id end as campaign_run_id,
    case when agreed.namespace is not null then own.audience_id end as audience_id,
    case when agreed.namespace is not null then own.variant_id end as variant_id,
    case when agreed.namespace is not null then own.journey_id end as journey_id,
    case when agreed.namespace is not null then own.nqe end as nqe
from silent
left join agreed on silent.event_day = agreed.event_day and silent.payload = agreed.payload
left join own on silent.event_day = own.event_day and silent.payload = own.payload
