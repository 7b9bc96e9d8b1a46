{%- set arguments = ['campaign_run_id', 'audience_id', 'variant_id', 'journey_id', 'nqe'] -%}
{%- set fields = ['namespace', 'email'] + arguments -%}
{%- set event = ['event_day', 'payload', 'message_id', 'smtp_id'] -%}

{{
    config(
        materialized='incremental', incremental_strategy='append', on_schema_change='fail',
        pre_hook="{{ delete_days_due() }}", partition_by=day_parts(), indexes=day_indexes()
    )
}}

with due as (

    {{ days_due('int_email_arguments') }}

),

reach as (

    select
        cast({{ dbt.dateadd('day', -var('late_event_days'), 'min(event_day)') }} as date) as first_day,
        cast({{ dbt.dateadd('day', var('late_event_days'), 'max(event_day)') }} as date) as last_day
    from due

),

events as (

    select * from {{ ref('base_sendgrid__events') }}
    where (message_id is not null or smtp_id is not null)
        and event_day between (select first_day from reach) and (select last_day from reach)

),

silent as (

    select distinct
        {{ event | join(', ') }}
    from events
    where not has_namespace and {{ is_due('int_email_arguments') }}

),

speaking as (

    select * from events
    where has_namespace

),

found as (

    {% for id in ['message_id', 'smtp_id'] %}
    select
        silent.event_day,
        silent.payload,
        speaking.event_day as told_on,
        speaking.payload as told_by
    from silent
    inner join speaking on silent.{{ id }} = speaking.{{ id }}
    {% if not loop.last %}union{% endif %}
    {% endfor %}

),

near as (

    select * from found
    where {{ days_between('told_on', 'event_day') }}
        between -{{ var('late_event_days') }} and {{ var('late_event_days') }}

),

parsed as (

    {{ json_documents('near', 'told_by', fields, 'true') | indent(4) }}

),

told as (

    select
        event_day,
        payload,
        told_on,
        {% for argument in arguments | reject('equalto', 'audience_id') %}
        nullif({{ json_field('document', argument) }}, '') as {{ argument }},
        {% endfor %}
        {{ piped(json_field('document', 'audience_id')) }} as audience_id,
        {{ json_field('document', 'namespace') }} as namespace,
        {{ tidy_address(json_field('document', 'email')) }} as email
    from parsed

),

read as (

    {{ json_documents('silent', 'payload', ['email'], 'true') | indent(4) }}

),

addressed as (

    select
        {{ event | join(', ') }},
        {{ tidy_address(json_field('document', 'email')) }} as email
    from read

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
        case
            when min(told.{{ argument }}) = max(told.{{ argument }}) then min(told.{{ argument }})
        end as {{ argument }},
        {% endfor %}
        told.event_day,
        told.payload
    from told
    inner join addressed
        on told.event_day = addressed.event_day
        and told.payload = addressed.payload
        and told.email = addressed.email
    group by told.event_day, told.payload

)

select
    addressed.event_day,
    addressed.payload,
    addressed.message_id,
    addressed.smtp_id,
    agreed.told_from,
    agreed.told_until,
    agreed.namespace,
    case when agreed.namespace is not null then own.campaign_run_id end as campaign_run_id,
    case when agreed.namespace is not null then own.audience_id end as audience_id,
    case when agreed.namespace is not null then own.variant_id end as variant_id,
    case when agreed.namespace is not null then own.journey_id end as journey_id,
    case when agreed.namespace is not null then own.nqe end as nqe
from addressed
left join agreed on addressed.event_day = agreed.event_day and addressed.payload = agreed.payload
left join own on addressed.event_day = own.event_day and addressed.payload = own.payload
