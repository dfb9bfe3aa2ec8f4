// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";

import {CrossDomainMessenger} from "../universal/CrossDomainMessenger.sol";
import {Predeploys} from "../universal/Predeploys.sol";
import {SheafPortal} from "./SheafPortal.sol";

/// @title L1CrossDomainMessenger
/// @notice Messages to the cluster become deposits; messages from it come as withdrawals of the L2 messenger.
contract L1CrossDomainMessenger is CrossDomainMessenger, Initializable {
    /// @dev An address that must be set is zero.
    error ZeroAddress();

    string public constant version = "2.4.0";

    /// @notice The cluster's portal.
    SheafPortal public portal;

    constructor() {
        _disableInitializers();
    }

    function initialize(SheafPortal portal_) external initializer {
        if (address(portal_) == address(0)) revert ZeroAddress();
        portal = portal_;
    }

    function PORTAL() external view returns (SheafPortal) {
        return portal;
    }

    function OTHER_MESSENGER() external pure returns (address) {
        return Predeploys.L2_CROSS_DOMAIN_MESSENGER;
    }

    function otherMessenger() public pure override returns (address) {
        return Predeploys.L2_CROSS_DOMAIN_MESSENGER;
    }

    function paused() public view override returns (bool) {
        return portal.paused();
    }

    function _send(uint64 gasLimit, uint256 value, bytes memory data) internal override {
        portal.depositTransaction{value: value}(Predeploys.L2_CROSS_DOMAIN_MESSENGER, value, gasLimit, false, data);
    }

    function _isFromOtherMessenger() internal view override returns (bool) {
        return msg.sender == address(portal) && portal.l2Sender() == Predeploys.L2_CROSS_DOMAIN_MESSENGER;
    }

    function _isUnsafeTarget(address target) internal view override returns (bool) {
        return target == address(this) || target == address(portal);
    }
}
