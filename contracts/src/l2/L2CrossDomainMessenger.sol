// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {AddressAlias} from "../universal/AddressAlias.sol";
import {CrossDomainMessenger} from "../universal/CrossDomainMessenger.sol";
import {Predeploys} from "../universal/Predeploys.sol";
import {L2ToL1MessagePasser} from "./L2ToL1MessagePasser.sol";

/// @title L2CrossDomainMessenger
/// @notice Messages to L1 become withdrawals; messages from L1 come as deposits from the L1 messenger's alias.
contract L2CrossDomainMessenger is CrossDomainMessenger {
    string public constant version = "2.1.0";

    /// @notice The messenger on L1.
    address public immutable OTHER_MESSENGER;

    constructor(address otherMessenger_) {
        OTHER_MESSENGER = otherMessenger_;
    }

    function l1CrossDomainMessenger() external view returns (address) {
        return OTHER_MESSENGER;
    }

    function otherMessenger() public view override returns (address) {
        return OTHER_MESSENGER;
    }

    /// @notice Messages from L1 always flow: a pause acts on what leaves L2, on L1.
    function paused() public pure override returns (bool) {
        return false;
    }

    function _send(uint64 gasLimit, uint256 value, bytes memory data) internal override {
        L2ToL1MessagePasser(payable(Predeploys.L2_TO_L1_MESSAGE_PASSER)).initiateWithdrawal{value: value}(
            OTHER_MESSENGER, gasLimit, data
        );
    }

    function _isFromOtherMessenger() internal view override returns (bool) {
        return AddressAlias.toL1(msg.sender) == OTHER_MESSENGER;
    }

    function _isUnsafeTarget(address target) internal view override returns (bool) {
        return target == address(this) || target == Predeploys.L2_TO_L1_MESSAGE_PASSER;
    }
}
