with email_days as (

    select * from {{ ref('email_days') }}

)

select
    namespace,
    nqe,
    min(email) as email,
    min(campaign_id) as campaign_id,
    min(campaign_run_id) as campaign_run_id,
    min(campaign_run_time) as campaign_run_time,
    min(audience_id) as audience_id,
    min(variant_id) as variant_id,
    min(journey_id) as journey_id,
    cast(coalesce(min(sent_at), min(campaign_run_time)) as date) as sent_on,
    min(sent_at) as sent_at,
    min(delivered_at) as delivered_at,
    min(first_open_at) as first_open_at,
    max(last_open_at) as last_open_at,
    min(first_click_at) as first_click_at,
    max(last_click_at) as last_click_at,
    min(unsubscribed_at) as unsubscribed_at,
    min(spam_reported_at) as spam_reported_at,
    min(bounced_at) as bounced_at,
    cast(sum(opens) as bigint) as opens,
    cast(sum(machine_opens) as bigint) as machine_opens,
    cast(sum(clicks) as bigint) as clicks,
    cast(sum(bot_clicks) as bigint) as bot_clicks,
    cast(sum(unsubscribes) as bigint) as unsubscribes,
    cast(sum(hard_bounces) as bigint) as hard_bounces,
    cast(sum(soft_bounces) as bigint) as soft_bounces,
    cast(sum(deferrals) as bigint) as deferrals,
    cast(sum(drops) as bigint) as drops,
    cast(sum(halts) as bigint) as halts,
    max(updated_at) as updated_at
from email_days
group by namespace, nqe
