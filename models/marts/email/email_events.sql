-- Built with whatever reads events, as days due are asked of it: depends_on: {{ ref('int_record_days') }}
with events as (

    select * from {{ ref('int_email_events_classified') }}
    where disposition in ('exported', 'not_exported')

),

user_agents as (

    select * from {{ ref('int_user_agents') }}

)

select
    events.unique_key,
    events.namespace,
    events.email,
    events.source,
    events.event,
    events.received_at as event_time,
    events.occurred_at,
    events.event_day,
    events.disposition = 'exported' as is_exported,
    events.reason,
    events.category,
    case when events.event in ('open', 'click', 'unsubscribe') then user_agents.device_type end as device_type,
    case when events.event in ('open', 'click', 'unsubscribe') then events.user_agent end as user_agent,
    case when events.event = 'click' then events.click_url end as click_url,
    case when events.event = 'unsubscribe' then events.unsubscribe_source end as unsubscribe_source,
    events.event = 'click' and coalesce(user_agents.is_bot, false) as is_bot_click,
    events.event = 'open' and events.is_machine_open as is_machine_open,
    events.campaign_id,
    events.campaign_name,
    events.campaign_classification,
    events.audience_id,
    events.campaign_run_id,
    events.campaign_run_time,
    events.variant_id,
    events.subject_line,
    events.tracking_parameters,
    events.nqe,
    events.extra_fields,
    events.journey_id,
    events.journey_name,
    events.updated_at
from events
left join user_agents on events.user_agent = user_agents.user_agent
