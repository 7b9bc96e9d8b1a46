{%- set fields = ['namespace', 'campaign_id', 'campaign_name', 'campaign_classification', 'updated_at'] -%}

with campaigns as (

    select * from {{ ref('base_platform__campaigns') }}

),

parsed as (

    {{ json_documents('campaigns', 'payload', fields) | indent(4) }}

),

typed as (

    select
        {{ name_said('namespace') }} as namespace,
        {{ try_bigint(json_field('document', 'campaign_id')) }} as campaign_id,
        {{ json_field('document', 'campaign_name') }} as campaign_name,
        {{ json_field('document', 'campaign_classification') }} as campaign_classification,
        {{ try_timestamp(json_field('document', 'updated_at')) }} as updated_at,
        loaded_at,
        file_name,
        line_number
    from parsed
    where fault is null

),

ranked as (

    select
        *,
        row_number() over (
            partition by namespace, campaign_id
            order by updated_at desc, file_name desc, line_number desc
        ) as version
    from typed

)

select
    namespace,
    campaign_id,
    campaign_name,
    campaign_classification,
    updated_at,
    loaded_at
from ranked
where version = 1
