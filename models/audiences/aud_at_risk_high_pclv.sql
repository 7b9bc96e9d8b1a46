with members as (

    select * from {{ ref('audience_attributes') }}

)

select
    namespace,
    customer_id,
    is_unsubscribed
from members
where lifecycle_stage = 'at_risk_buyer' and pclv_band = 'high'
order by namespace, customer_id
