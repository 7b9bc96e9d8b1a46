{%- set fields = [
    'sg_event_id', 'sg_message_id', 'smtp-id', 'namespace', 'email', 'event', 'type', 'timestamp', 'category',
    'useragent', 'ip', 'url', 'reason', 'status', 'bounce_classification', 'sg_machine_open', 'asm_group_id',
    'campaign_run_id', 'audience_id', 'variant_id', 'journey_id', 'nqe'
] -%}

{{
    config(
        enabled='sendgrid' in var('providers'), materialized='incremental', incremental_strategy=file_strategy(),
        partition_by=day_parts(), indexes=raw_indexes(['event_day', 'id_hash', 'alike_hash'])
    )
}}

with named as (

    {{ posted_texts('sendgrid', fields) | indent(4) }}

),

told as (

    select
        {{ id_said('sg_event_id_text') }} as event_id,
        {{ filled(before_point('sg_message_id_text')) }} as message_id,
        sg_message_id_text as provider_message_id,
        {{ filled('smtp_id_text') }} as smtp_id,
        {{ filled('namespace_text') }} as namespace,
        {{ tidy_address('email_text') }} as email,
        {{ code('event_text') }} as provider_event,
        {{ code('type_text') }} as bounce_type,
        {{ code('bounce_classification_text') }} as bounce_classification,
        case
            when {{ code('event_text') }} like 'group_%' then {{ filled('asm_group_id_text') }}
        end as unsubscribe_group,
        {{ reply_class('status_text', 'reason_text') }} as reply_class,
        {{ piped('category_text') }} as category,
        useragent_text as user_agent,
        ip_text as ip_address,
        url_text as click_url,
        reason_text as reason,
        {{ filled('campaign_run_id_text') }} as campaign_run_id,
        {{ piped('audience_id_text') }} as audience_id,
        variant_id_text as variant_id,
        {{ filled('journey_id_text') }} as journey_id,
        {{ filled('nqe_text') }} as nqe,
        {{ posted_extra_fields({}) }} as extra_fields,
        coalesce({{ typed('sg_machine_open_text', 'boolean') }}, false) as is_machine_open,
        {{ time_said('timestamp_text') }} as occurred_at,
        received_at,
        event_day,
        payload,
        fault,
        file_name,
        line_number,
        landed_at,
        loaded_at
    from named

)

select
    *,
    {{ event_hashes() }}
from told
