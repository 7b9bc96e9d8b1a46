{%- set fields = {
    'id': 'id', 'message_id': 'message/headers/message-id', 'email': 'recipient', 'event': 'event',
    'severity': 'severity', 'bounce_type': 'delivery-status/bounce-type', 'code': 'delivery-status/code',
    'reply': 'delivery-status/message', 'description': 'delivery-status/description', 'reason': 'reason', 'tags': 'tags',
    'user_agent': 'client-info/user-agent', 'bot': 'client-info/bot', 'ip_address': 'ip', 'url': 'url',
    'timestamp': 'timestamp', 'namespace': 'user-variables/namespace',
    'campaign_run_id': 'user-variables/campaign_run_id', 'audience_id': 'user-variables/audience_id',
    'variant_id': 'user-variables/variant_id', 'journey_id': 'user-variables/journey_id', 'nqe': 'user-variables/nqe'
} -%}

{{
    config(
        enabled='mailgun' in var('providers'), materialized='incremental', incremental_strategy=file_strategy(),
        partition_by=day_parts(), indexes=raw_indexes(['event_day', 'id_hash', 'alike_hash'])
    )
}}

with named as (

    {{ posted_texts('mailgun', fields, below='event-data/') | indent(4) }}

),

timed as (

    select
        *,
        {{ try_epoch('timestamp_text') }} as occurred_at,
        {{ code('event_text') }} as event,
        {{ code('severity_text') }} as severity,
        {{ code('reason_text') }} as reason
    from named

),

told as (

    select
        {{ id_said('id_text') }} || ' ' || cast(cast(occurred_at as date) as {{ dbt.type_string() }}) as event_id,
        {{ filled('message_id_text') }} as message_id,
        message_id_text as provider_message_id,
        cast(null as {{ dbt.type_string() }}) as smtp_id,
        {{ filled('namespace_text') }} as namespace,
        {{ tidy_address('email_text') }} as email,
        case
            when event <> 'failed' or event is null then event
            when severity = 'temporary' then 'temporary_fail'
            when reason like 'suppress-%' then 'suppressed'
            else 'permanent_fail'
        end as provider_event,
        case
            when event = 'failed'
                then coalesce(
                        {{ code('bounce_type_text') }}, case when reason in ('old', 'espblock') then reason end, severity
                    )
        end as bounce_type,
        cast(null as {{ dbt.type_string() }}) as bounce_classification,
        cast(null as {{ dbt.type_string() }}) as unsubscribe_group,
        {{ reply_class('code_text', 'coalesce(reply_text, description_text)') }} as reply_class,
        {{ piped('tags_text') }} as category,
        user_agent_text as user_agent,
        ip_address_text as ip_address,
        url_text as click_url,
        coalesce(reply_text, description_text, reason_text) as reason,
        {{ filled('campaign_run_id_text') }} as campaign_run_id,
        {{ piped('audience_id_text') }} as audience_id,
        variant_id_text as variant_id,
        {{ filled('journey_id_text') }} as journey_id,
        {{ filled('nqe_text') }} as nqe,
        {{ posted_extra_fields({}) }} as extra_fields,
        bot_text is not null as is_machine_open,
        occurred_at,
        received_at,
        event_day,
        payload,
        coalesce(fault, case when event is null then 'there is no event-data with an event' end) as fault,
        file_name,
        line_number,
        landed_at,
        loaded_at
    from timed

)

select
    *,
    {{ event_hashes() }}
from told
