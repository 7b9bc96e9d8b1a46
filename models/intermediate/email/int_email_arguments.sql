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

namespaces as (

    select * from {{ ref('stg_platform__namespaces') }}

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

    select
        found.*,
        namespaces.namespace as known_namespace
    from found
    left join namespaces on found.namespace = namespaces.namespace
    where {{ days_between('found.told_on', 'found.event_day') }}
        between -{{ var('late_event_days') }} and {{ var('late_event_days') }}

),

-- Nobody may have what is another's; but who names no client that is known takes nothing from one that is.
agreed as (

    select
        event_day,
        payload,
        min(told_on) as told_from,
        max(told_on) as told_until,
        case
            when count(known_namespace) = 0 and min(namespace) = max(namespace) then min(namespace)
            when min(known_namespace) = max(known_namespace) then min(known_namespace)
        end as namespace
    from told
    group by event_day, payload

),

own as (

    select
        {% for argument in arguments %}
        case
            when min(told.{{ argument }}) = max(told.{{ argument }}) then min(told.{{ argument }})
        end as {{ argument }},
        {% endfor %}
        told.event_day,
        told.payload
    from told
    inner join agreed
        on told.event_day = agreed.event_day
        and told.payload = agreed.payload
        and told.namespace = agreed.namespace
    where told.email = told.told_of
    group by told.event_day, told.payload

)

select
    silent.event_day,
    silent.payload,
    silent.message_id,
    silent.smtp_id,
    agreed.told_from,
    agreed.told_until,
    agreed.namespace,
    own.campaign_run_id,
    own.audience_id,
    own.variant_id,
    own.journey_id,
    own.nqe
from silent
left join agreed on silent.event_day = agreed.event_day and silent.payload = agreed.payload
left join own on silent.event_day = own.event_day and silent.payload = own.payload
