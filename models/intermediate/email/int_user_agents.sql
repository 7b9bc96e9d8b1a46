{{ config(materialized='incremental', incremental_strategy='append') }}

with events as (

    select distinct user_agent
    from {{ ref('int_email_events_classified') }}
    where user_agent is not null
        and {{ is_due('int_user_agents') }}

),

device_rules as (

    select * from {{ ref('device_rules') }}

),

bot_rules as (

    select * from {{ ref('bot_rules') }}

),

known_bots as (

    select * from {{ ref('known_bots') }}

),

new_user_agents as (

    select user_agent from events
    {% if is_incremental() %}
    {{ dbt.except() }}
    select user_agent from {{ this }}
    {% endif %}

),

-- What says what it is stands at its beginning; one of 32 MB would keep everybody waiting for minutes.
begun as (

    select
        user_agent,
        left(user_agent, 2000) as beginning
    from new_user_agents

),

devices as (

    select
        begun.user_agent,
        device_rules.device_type,
        row_number() over (partition by begun.user_agent order by device_rules.priority) as preference
    from begun
    inner join device_rules on {{ lowered('begun.beginning') }} like device_rules.user_agent_pattern

),

bots as (

    select begun.user_agent
    from begun
    inner join bot_rules on {{ lowered('begun.beginning') }} like bot_rules.user_agent_pattern
    union distinct
    select begun.user_agent
    from begun
    inner join known_bots on begun.beginning like known_bots.user_agent_pattern

)

select
    new_user_agents.user_agent,
    cast(coalesce(devices.device_type, 'unknown') as {{ dbt.type_string() }}) as device_type,
    bots.user_agent is not null as is_bot
from new_user_agents
left join devices
    on new_user_agents.user_agent = devices.user_agent
    and devices.preference = 1
left join bots on new_user_agents.user_agent = bots.user_agent
